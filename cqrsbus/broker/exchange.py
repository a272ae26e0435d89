"""The exchange: carries out what the router decides.

The rules:

1. Decisions are carried out in order, and wholly, before the next frame is looked at: nothing waits in between.
2. A member only buffers what it is given; each is flushed once, after all that came together.
3. One timer serves every deadline.

An exchange has no sockets, and waits for nothing. A session puts one behind a socket; an embedded one is used without.
"""

from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Protocol

import anyio

from cqrsbus.alarm import Alarm
from cqrsbus.broker.exchange_waits import let_time_pass, wait_until_idle
from cqrsbus.broker.limits import BrokerLimits
from cqrsbus.errors import Code
from cqrsbus.native import clock
from cqrsbus.routing.output import Emission
from cqrsbus.routing.router import Router
from cqrsbus.wire.frames import Frame, Kind
from cqrsbus.wire.header import encode_header


class Member(Protocol):
    """Whoever takes part: a client behind a socket, or one in this process."""

    @property
    def ending(self) -> bool:
        """Whether it was told ERROR: nothing more is taken from it."""
        ...

    def put(self, frame: Frame) -> None:
        """Buffer a frame for it; it is cut off if its buffer is full."""
        ...

    def flush(self) -> None:
        """Let it have what was put."""
        ...

    def flush_soon(self) -> None:
        """Let it have what was put, with what else is put in this turn of the event loop."""
        ...


class Exchange:
    """Joins members through a router.

    Args:
        limits: What the members may do.
    """

    def __init__(self, limits: BrokerLimits | None = None) -> None:
        self.limits = limits or BrokerLimits()
        self.router = Router(self.limits.routing, max_header=self.limits.max_header)
        self._members: dict[int, Member] = {}
        self._last_number = 0
        #: Is told of deadlines that are earlier than those before.
        self.alarm = Alarm()
        self._moved: anyio.Event | None = None
        self._time: Callable[[], float] = anyio.current_time

    def attach(self, member: Member, service: str, instance: str) -> int:
        """Let a member take part; returns its number."""
        # It may be made where no event loop runs yet, and serves one.
        self._time = clock()
        number = self._last_number = self._last_number + 1
        self.router.attach(number, service, instance)
        self._members[number] = member
        return number

    def detach(self, number: int) -> None:
        """A member is gone; who waited for it is told."""
        del self._members[number]
        self._carry_out(self.router.detach(number, self._time()))

    def receive(self, number: int, frames: Sequence[Frame]) -> None:
        """Route what a member sent."""
        member = self._members[number]
        members, now, dirty = self._members, self._time(), set[Member]()
        for frame in frames:
            if member.ending:
                break
            for target, emitted in self.router.receive(number, frame, now):
                if (receiver := members.get(target)) is not None:
                    receiver.put(emitted)
                    dirty.add(receiver)
        # Who says many things at once is not waiting for the first of them, and others may be as busy.
        self._finish(dirty, at_once=len(frames) == 1)

    def announce_drain(self) -> None:
        """Tell every member that the broker is about to stop."""
        self._carry_out([(number, Frame(Kind.DRAIN)) for number in self._members])

    def dismiss(self, code: Code, reason: str) -> None:
        """Send every member away, telling it why."""
        farewell = Frame.of(Kind.ERROR, detail=code, header=encode_header({"reason": reason}))
        self._carry_out([(number, farewell) for number in self._members])

    def wait_idle(self) -> Coroutine[Any, Any, None]:
        """Wait until nobody waits for an answer."""
        return wait_until_idle(self)

    def run(self) -> Coroutine[Any, Any, None]:
        """Let time pass."""
        return let_time_pass(self)

    def expire(self) -> None:
        """Do what is due: answer requests whose deadline is over, give up stalled consumers."""
        self._carry_out(self.router.expire(self._time()))

    def next_move(self) -> anyio.Event:
        """What is set when something has been carried out; several may wait for the same."""
        if self._moved is None:
            self._moved = anyio.Event()
        return self._moved

    def _carry_out(self, emissions: Iterable[Emission]) -> None:
        dirty = set[Member]()
        for target, frame in emissions:
            if (receiver := self._members.get(target)) is not None:
                receiver.put(frame)
                dirty.add(receiver)
        self._finish(dirty)

    def _finish(self, dirty: Iterable[Member], *, at_once: bool = True) -> None:
        for member in dirty:
            if at_once:
                member.flush()
            else:
                member.flush_soon()
        deadline = self.router.no_deadline_before
        # To ask here costs less than a call that is not compiled.
        if deadline is not None and deadline < self.alarm.due:
            self.alarm.bring_forward(deadline)
        moved, self._moved = self._moved, None
        if moved is not None:
            moved.set()
