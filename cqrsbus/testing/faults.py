"""Faults that a test orders: messages that are lost, or late, on their way to the broker."""

from typing import Final

from cqrsbus.topics import matches, topic_of, validate_pattern

_LOST: Final = None


class Fault:
    """One order; what it has done so far can be looked at.

    Args:
        pattern: Whose messages it concerns.
        seconds: How late they are; None: they are lost.
        times: How many it takes; None for all.
    """

    def __init__(self, pattern: str, seconds: float | None, times: int | None) -> None:
        self.pattern = pattern
        self.seconds = seconds
        self.times = times
        #: How many messages it has taken.
        self.struck = 0

    def takes(self, topic: str) -> bool:
        """Whether it concerns one more message to this topic."""
        return (self.times is None or self.struck < self.times) and matches(self.pattern, topic)

    def __repr__(self) -> str:
        what = "drop" if self.seconds is _LOST else f"delay by {self.seconds:g} s"
        return f"<{what} {self.pattern!r}, struck {self.struck} of {'any' if self.times is None else self.times}>"


class Faults:
    """The orders of one test. The first that concerns a message takes it."""

    def __init__(self) -> None:
        self._orders: list[Fault] = []

    def drop(self, topic: str | type, *, times: int | None = 1) -> Fault:
        """Lose messages on their way to the broker: nobody is told, and who waits for an answer waits in vain.

        Args:
            topic: A topic or pattern, or a class of messages.
            times: How many; None for all.

        Raises:
            InvalidTopicError: The pattern is malformed.
            ValueError: The class has no topic.
        """
        return self._order(Fault(_pattern(topic), _LOST, times))

    def delay(self, topic: str | type, seconds: float, *, times: int | None = None) -> Fault:
        """Hold messages back on their way to the broker. They keep their order among those of their topic.

        Args:
            topic: A topic or pattern, or a class of messages.
            seconds: How long.
            times: How many; None for all.

        Raises:
            InvalidTopicError: The pattern is malformed.
            ValueError: The class has no topic, or there are less than 0 seconds.
        """
        if not seconds >= 0:
            raise ValueError(f"a message cannot be {seconds:g} s late")
        return self._order(Fault(_pattern(topic), seconds, times))

    def clear(self) -> None:
        """Order no more; what is held back still comes when it is due."""
        self._orders.clear()

    def strike(self, topic: str) -> Fault | None:
        """What becomes of a message to this topic; None: it goes on its way."""
        fault = next((order for order in self._orders if order.takes(topic)), None)
        if fault is not None:
            fault.struck += 1
        return fault

    def _order(self, fault: Fault) -> Fault:
        self._orders.append(fault)
        return fault


def _pattern(topic: str | type) -> str:
    if isinstance(topic, str):
        return validate_pattern(topic)
    pattern = topic_of(topic)
    if pattern is None:
        raise ValueError(f"{topic.__name__} has no topic: name one")
    return pattern
