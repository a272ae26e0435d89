"""What is started next: never what has expired or was cancelled while it waited, which is settled instead."""

import anyio

from cqrsbus.bus.waiting import ArrivalOrder
from cqrsbus.errors import Code
from cqrsbus.links.port import Delivery


def is_worth_starting(delivery: Delivery) -> bool:
    """Return whether somebody still waits for a delivery; if not, it is settled."""
    deadline = delivery.deadline
    if delivery.cancelled:
        delivery.fail(Code.CANCELLED, {"reason": "the caller left before it was started"})
    elif deadline is None or deadline > anyio.current_time():
        return True
    else:
        reason = "it expired before it was started"
        delivery.fail(Code.DEADLINE_EXCEEDED, {"reason": reason, "stage": "queue"})
    return False


class Turn:
    """The deliveries that one worker does in turn, where it does all and nobody can stop it.

    Args:
        waiting: Where they wait.
    """

    __slots__ = ("_waiting", "current", "left")

    def __init__(self, waiting: ArrivalOrder) -> None:
        self._waiting = waiting
        #: What is being worked on.
        self.current: Delivery | None = None
        #: How many more may be taken before other tasks run.
        self.left = 0

    def next(self) -> Delivery | None:
        """Take the next one, if there is one and it may be taken now."""
        while self.left and (delivery := self._waiting.pop()) is not None:
            if is_worth_starting(delivery):
                self.left -= 1
                self.current = delivery
                return delivery
        return None
