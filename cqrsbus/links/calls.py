"""Calls that wait for their answer, matched by number.

The rules:

1. A call ends exactly once: with its answer, a refusal, its deadline, the loss of its connection, or because the
   caller left. Whatever comes for a number that is no longer open is late, and is dropped and counted.
2. One alarm serves every deadline.
3. As many may be open as the broker allows; more wait for a place.

Nothing here waits itself: see call_waits.py.
"""

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum
from itertools import count
from typing import Final, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from cqrsbus.alarm import Alarm
from cqrsbus.errors import (
    BusError,
    ConnectionLostError,
    DeadlineExceededError,
    DeliveryUnknownError,
)
from cqrsbus.links.answer import Answer, answer_in
from cqrsbus.links.channel import Channel
from cqrsbus.native import clock
from cqrsbus.routing.deadlines import DeadlineHeap
from cqrsbus.waiter import MakeWaiter, Waiter, waiters
from cqrsbus.wire.failures import error_in
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.origin import Origin

# Plain numbers: looking up a member of an enum costs more than using it.
_ASK: Final = Kind.ASK.value
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

    __slots__ = ("_calls", "_channel", "_error", "_frame", "_make_waiter", "_waiter")

    def __init__(
        self, id: int, verb: Verb, topic: str, timeout: float | None, calls: "OpenCalls", make_waiter: MakeWaiter
    ) -> None:
        # As the base does it, without a call: there is one for each ask and each send.
        self.id = id
        self.verb = verb
        self.topic = topic
        self.timeout = timeout
        #: Where its request was put, once it was.
        self._channel: Channel | None = None
        self._calls = calls
        self._frame: Frame | None = None
        self._error: BusError | None = None
        self._make_waiter = make_waiter
        self._waiter: Waiter | None = None

    def put(self, frame: Frame, channel: Channel) -> None:
        """Put its request; one that is alone does not wait for others to go with it."""
        self._channel, open_calls = channel, len(self._calls)
        if open_calls == 1:
            channel.put_now(frame)
        elif frame.kind == _ASK:
            channel.put_portion(frame, open_calls // 2)
        else:
            channel.put(frame)

    def ask(self, origin: Origin, number: int, body: bytes, ttl: int, channel: Channel) -> None:
        """Put its query, which may go with others; else see :meth:`put`.

        Of queries that are asked again as they are answered, all would come at once, or none: while they are answered,
        nobody would ask. In two halves, one is answered while the other is asked.

        Args:
            origin: What the query says of itself, but for its number.
            number: Its number.
            body: The encoded query.
            ttl: Milliseconds to answer it; 0 is no limit.
            channel: Where it goes.
        """
        self._channel = channel
        channel.ask(self.topic, origin, number, body, self.id, ttl, len(self._calls) // 2)

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
        if self._channel is not None and not self.is_done:
            self._channel.put(Frame(_CANCEL, id=self.id))
        self._calls.close(self)


C = TypeVar("C", bound=OpenCall)


class OpenCalls:
    """The calls of one link that wait."""

    def __init__(self) -> None:
        self._calls: dict[int, OpenCall] = {}
        self._numbers = count(1)
        #: By number: an entry may outlive its call for a while, and must not keep the answer alive.
        self._deadlines: DeadlineHeap[int] = DeadlineHeap()
        #: Is told of deadlines that are earlier than those before.
        self.alarm = Alarm()
        self._make_waiter: MakeWaiter | None = None
        self._time: Callable[[], float] | None = None
        self._waiting: deque[anyio.Event] = deque()
        #: Places of those who have been woken and have not run yet: nobody else may take them.
        self._promised: set[anyio.Event] = set()
        self.most = math.inf
        self.late = 0

    def __len__(self) -> int:
        return len(self._calls)

    def next_number(self) -> int:
        """A number for a frame that nobody waits for."""
        return next(self._numbers)

    def now(self) -> float:
        """The time on anyio's clock."""
        if self._time is None:
            # Only now is it sure that a loop runs, and which.
            self._time = clock()
        return self._time()

    @property
    def is_full(self) -> bool:
        """Whether one more call has to wait for a place."""
        return len(self._calls) + len(self._promised) >= self.most

    def queue_for_place(self) -> anyio.Event:
        """Stand in line for a place: first come, first served. What is returned is set when it is this one's turn."""
        place = anyio.Event()
        self._waiting.append(place)
        return place

    def take_place(self, place: anyio.Event) -> None:
        """Who was given a place is about to open a call; who then opens none must offer it."""
        self._promised.discard(place)

    def leave_place(self, place: anyio.Event) -> None:
        """Wait no longer; a place that was given meanwhile goes to the next."""
        if not place.is_set():
            self._waiting.remove(place)
        self._promised.discard(place)
        self.offer_place()

    def offer_place(self) -> None:
        """Let the next one who waits have the place that is free, if there is one."""
        if self._waiting and not self.is_full:
            place = self._waiting.popleft()
            self._promised.add(place)
            place.set()

    def open(self, verb: Verb, topic: str, *, timeout: float | None, deadline: float) -> Call:
        """Begin a call that has one answer; see :meth:`begin`."""
        if self._make_waiter is None:
            self._make_waiter = waiters()
        call = Call(next(self._numbers), verb, topic, timeout, self, self._make_waiter)
        self._begin(call, deadline)
        return call

    def begin(
        self,
        make: Callable[[int, Verb, str, float | None], C],
        verb: Verb,
        topic: str,
        *,
        timeout: float | None,
        deadline: float,
    ) -> C:
        """Begin a call.

        Args:
            make: The call's class.
            verb: What it does.
            topic: What it is about.
            timeout: Seconds it was given, for the text of its error.
            deadline: When it fails, on anyio's clock; infinity for never.
        """
        call = make(next(self._numbers), verb, topic, timeout)
        self._begin(call, deadline)
        return call

    def _begin(self, call: OpenCall, deadline: float) -> None:
        self._calls[call.id] = call
        if deadline != math.inf:
            self._deadlines.set(call.id, deadline)
            # To ask here costs less than a call that is not compiled.
            if deadline < self.alarm.due:
                self.alarm.bring_forward(deadline)

    def close(self, call: OpenCall) -> None:
        """A call is over: its caller has the result, or has left."""
        self._calls.pop(call.id, None)
        self._deadlines.discard(call.id)
        self.offer_place()

    def find(self, id: int) -> OpenCall | None:
        """The open call of this number; None, and counted, if what came is late."""
        call = self._calls.get(id)
        if call is None:
            self.late += 1
        return call

    def answer(self, frame: Frame) -> None:
        """Give a CONFIRM or a REPLY to the call it is for."""
        call = self.find(frame.id)
        if call is not None:
            call.answer(frame)

    def lose_all(self, reason: str) -> None:
        """The connection is lost, and with it every answer."""
        lost, self._calls = self._calls, {}
        for call in lost.values():
            call.lose(reason)
        # They have to wait for a connection first, and need no place before that.
        self._promised.clear()
        while self._waiting:
            self._waiting.popleft().set()

    @property
    def next_deadline(self) -> float | None:
        """When the next call's time is up, on anyio's clock; None for never."""
        return self._deadlines.earliest

    def expire(self) -> None:
        """End the calls whose time is up."""
        now = self.now()
        for number in list(self._deadlines.pop_expired(now)):
            call = self._calls.get(number)
            later = None if call is None else call.expire(now)
            if later is not None:
                self._deadlines.set(number, later)
