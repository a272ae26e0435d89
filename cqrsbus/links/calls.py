"""Calls that wait for their answer, matched by number.

The rules:

1. Whatever comes for a number that is no longer open is late, and is dropped and counted.
2. One alarm serves every deadline.
3. As many may be open as the broker allows; more wait for a place.

Nothing here waits itself: see call_waits.py.
"""

import math
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import TypeVar

import anyio

from cqrsbus.alarm import Alarm
from cqrsbus.links.call import Call, OpenCall, Verb
from cqrsbus.native import clock
from cqrsbus.routing.deadlines import DeadlineHeap
from cqrsbus.waiter import MakeWaiter, waiters
from cqrsbus.wire.frames import Frame

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
