"""One call that waits for its answer.

It ends exactly once: with its answer, a refusal, its deadline, the loss of its connection, or because the caller left.
Nothing here waits itself: see call_waits.py.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable
from enum import Enum
from typing import TYPE_CHECKING, Final

from anyio.lowlevel import checkpoint

from cqrsbus.errors import (
    BusError,
    ConnectionLostError,
    DeadlineExceededError,
    DeliveryUnknownError,
)
from cqrsbus.links.answer import Answer, answer_in
from cqrsbus.links.channel import AnyOutbox
from cqrsbus.waiter import MakeWaiter, Waiter
from cqrsbus.wire.failures import error_in
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.origin import Origin

if TYPE_CHECKING:
    from cqrsbus.links.calls import OpenCalls

# A plain number: looking up a member of an enum costs more than using it.
_CANCEL: Final = Kind.CANCEL.value


class Verb(Enum):
    """What a call does, and so what it means when its answer fails to come."""

    SEND = "send"
    ASK = "ask"
    SUBSCRIBE = "subscribe"
    DESCRIBE = "describe"


class OpenCall(ABC):
    """What is known by its number until it has ended.

    Args:
        id: Its number on the connection.
        verb: What it does.
        topic: What it is about.
        timeout: Seconds it was given, for the text of its error.
    """

    __slots__ = ("id", "timeout", "topic", "verb")

    def __init__(self, id: int, verb: Verb, topic: str, timeout: float | None) -> None:
        self.id = id
        self.verb = verb
        self.topic = topic
        self.timeout = timeout

    @property
    @abstractmethod
    def is_done(self) -> bool:
        """Whether it has ended."""

    @abstractmethod
    def answer(self, frame: Frame) -> None:
        """Take a CONFIRM or a REPLY."""

    @abstractmethod
    def fail(self, error: BusError) -> None:
        """End it with an error, unless it has ended."""

    def expire(self, now: float) -> float | None:
        """Its time is up: end it, or say when to look again."""
        if self.verb is Verb.SEND:
            self.fail(DeliveryUnknownError(f"no confirmation within {self.timeout:g} s", topic=self.topic))
        else:
            self.fail(DeadlineExceededError(f"no answer within {self.timeout:g} s", topic=self.topic))
        return None

    def lose(self, reason: str) -> None:
        """End it because its connection is lost."""
        error = DeliveryUnknownError if self.verb is Verb.SEND else ConnectionLostError
        self.fail(error(reason, topic=self.topic))


class Call(OpenCall):
    """One call that waits for one answer.

    Args:
        id: See :class:`OpenCall`.
        verb: See :class:`OpenCall`.
        topic: See :class:`OpenCall`.
        timeout: See :class:`OpenCall`.
        calls: Where it is open.
        make_waiter: Makes what its one task waits with.
    """

    __slots__ = ("_calls", "_error", "_frame", "_make_waiter", "_outbox", "_waiter")

    def __init__(
        self, id: int, verb: Verb, topic: str, timeout: float | None, calls: "OpenCalls", make_waiter: MakeWaiter
    ) -> None:
        # As the base does it, without a call: there is one for each ask and each send.
        self.id = id
        self.verb = verb
        self.topic = topic
        self.timeout = timeout
        #: Where its request was put, once it was.
        self._outbox: AnyOutbox | None = None
        self._calls = calls
        self._frame: Frame | None = None
        self._error: BusError | None = None
        self._make_waiter = make_waiter
        self._waiter: Waiter | None = None

    def put(self, frame: Frame, outbox: AnyOutbox) -> None:
        """Put its request; one that is alone does not wait for others to go with it.

        Of calls that are made again as they end, all would come at once, or none: while they are answered, nobody would
        call. In two halves, one is answered while the other is put.
        """
        self._outbox, open_calls = outbox, len(self._calls)
        if open_calls == 1:
            outbox.put_now(frame)
        else:
            outbox.put_portion(frame, open_calls // 2)

    def ask(self, origin: Origin, number: int, body: bytes, ttl: int, outbox: AnyOutbox) -> None:
        """Put its query, which may go with others; else see :meth:`put`.

        Args:
            origin: What the query says of itself, but for its number.
            number: Its number.
            body: The encoded query.
            ttl: Milliseconds to answer it; 0 is no limit.
            outbox: Where it goes.
        """
        self._outbox = outbox
        outbox.ask(self.topic, origin, number, body, self.id, ttl, len(self._calls) // 2)

    @property
    def is_done(self) -> bool:
        """See :attr:`OpenCall.is_done`."""
        return self._frame is not None or self._error is not None

    def answer(self, frame: Frame) -> None:
        """See :meth:`OpenCall.answer`; it is the end."""
        if frame.flags & Flag.FAILED and frame.kind == Kind.REPLY:
            self.fail(error_in(frame, topic=self.topic))
        elif self._frame is None and self._error is None:
            self._frame = frame
            self._wake()

    def fail(self, error: BusError) -> None:
        """See :meth:`OpenCall.fail`."""
        if not self.is_done:
            self._error = error
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None:
            self._waiter.wake()

    def end(self) -> Awaitable[None]:
        """What one task is to await at once, and once, before it looks at the result."""
        # No coroutine: one more would cost every call.
        if self.is_done:
            return checkpoint()
        self._waiter = self._make_waiter()
        return self._waiter.wait()

    def result(self) -> Frame:
        """What it ended with.

        Raises:
            BusError: What it was failed with.
        """
        if self._error is not None:
            raise self._error
        assert self._frame is not None
        return self._frame

    def said(self) -> Answer:
        """The answer that it ended with; see :meth:`result`."""
        return answer_in(self.result())

    def leave(self) -> None:
        """Its caller has what it ended with, or goes without: then the broker is told."""
        if self._outbox is not None and not self.is_done:
            self._outbox.put_soon(Frame(_CANCEL, id=self.id))
        self._calls.close(self)
