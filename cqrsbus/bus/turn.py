"""What a worker starts next: never what has expired or was cancelled while it waited, which is settled instead."""

from collections.abc import Callable

from cqrsbus.bus.crew import Crew
from cqrsbus.bus.waiting import ArrivalOrder
from cqrsbus.errors import Code
from cqrsbus.links.port import Delivery


def is_worth_starting(delivery: Delivery, time: Callable[[], float]) -> bool:
    """Return whether somebody still waits for a delivery; if not, it is settled.

    Args:
        delivery: What has waited.
        time: The clock of its deadline.
    """
    deadline = delivery.deadline
    if delivery.cancelled:
        delivery.fail(Code.CANCELLED, {"reason": "the caller left before it was started"})
    elif deadline is None or deadline > time():
        return True
    else:
        reason = "it expired before it was started"
        delivery.fail(Code.DEADLINE_EXCEEDED, {"reason": reason, "stage": "queue"})
    return False


class Turn:
    """The deliveries that one worker does one after the other.

    Args:
        waiting: Where they wait.
        time: The clock of their deadlines.
        crew: Who is roused to work beside it; None if nobody may.
        cancel: Stops the worker when a caller leaves whose delivery it is at; None if that may not stop it.
    """

    __slots__ = ("_cancel", "_crew", "_stopped", "_time", "_waiting", "current", "left")

    def __init__(
        self,
        waiting: ArrivalOrder,
        time: Callable[[], float],
        crew: Crew | None,
        cancel: Callable[[], None] | None,
    ) -> None:
        self._waiting = waiting
        self._time = time
        self._crew = crew
        self._cancel = cancel
        self._stopped = False
        #: What is being worked on.
        self.current: Delivery | None = None
        #: How many more may be taken before other tasks run.
        self.left = 0

    def next(self) -> Delivery | None:
        """Take the next one, if there is one and it may be taken now."""
        # A caller may leave when its work is as good as done; that must not hit the next one.
        while self.left and not self._stopped and (delivery := self._waiting.pop()) is not None:
            if is_worth_starting(delivery, self._time):
                self.left -= 1
                self.current = delivery
                if self._crew is not None:
                    self._crew.rouse()
                if self._cancel is not None:
                    delivery.on_cancel = self._stop
                return delivery
        return None

    def _stop(self) -> None:
        self._stopped = True
        assert self._cancel is not None
        self._cancel()
