"""What a worker starts next: never what has expired or was cancelled while it waited, which is settled instead.

What is done for each message around its handler, without waiting, is done here in one go.
"""

from collections.abc import Callable
from typing import Any

from cqrsbus.bus.codec import NOT_READ
from cqrsbus.bus.context import Context, DeliveredContext, current_context
from cqrsbus.bus.crew import Crew
from cqrsbus.bus.handler_scope import HandlerScope
from cqrsbus.bus.reading import read_delivery
from cqrsbus.bus.types import MessageType
from cqrsbus.bus.waiting import ArrivalOrder
from cqrsbus.errors import Code
from cqrsbus.links.deliveries import AnyDelivery


def is_worth_starting(delivery: AnyDelivery, time: Callable[[], float]) -> bool:
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

    __slots__ = ("_cancel", "_crew", "_message", "_stopped", "_time", "_waiting", "current", "left")

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
        #: What it was read as before its turn.
        self._message: object = NOT_READ
        #: What is being worked on.
        self.current: AnyDelivery | None = None
        #: How many more may be taken before other tasks run.
        self.left = 0

    def next(self) -> AnyDelivery | None:
        """Take the next one, if there is one and it may be taken now."""
        # A caller may leave when its work is as good as done; that must not hit the next one.
        while self.left and not self._stopped and (delivery := self._waiting.pop()) is not None:
            message = self._waiting.message()
            if is_worth_starting(delivery, self._time):
                self.left -= 1
                self.current = delivery
                self._message = message
                if self._crew is not None:
                    self._crew.rouse()
                if self._cancel is not None:
                    delivery.on_cancel = self._stop
                return delivery
        return None

    def open(self, scope: HandlerScope, into: MessageType[Any]) -> tuple[AnyDelivery, Context, Any]:
        """Read what was taken, and make its context the current one; whoever runs the handler restores it.

        Args:
            scope: What its handler is to run in.
            into: What the handler declared.

        Raises:
            ProtocolError: It does not say what its body is.
            InvalidMessageError: Its body is of another type, or malformed.
        """
        delivery, message = self.current, self._message
        assert delivery is not None
        context = DeliveredContext(delivery, scope)
        current_context.set(context)
        if message is NOT_READ:
            return delivery, context, read_delivery(delivery, into)
        self._message = NOT_READ
        return delivery, context, message

    def open_next(self, scope: HandlerScope, into: MessageType[Any]) -> tuple[AnyDelivery, Context, Any] | None:
        """Settle what was being worked on, take the next one and :meth:`open` it; None if none may be taken now."""
        if self.current is not None:
            self.current.done()
        return None if self.next() is None else self.open(scope, into)

    def _stop(self) -> None:
        self._stopped = True
        assert self._cancel is not None
        self._cancel()
