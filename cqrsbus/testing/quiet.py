"""When nothing is in flight any more.

The rules:

1. Nothing is in flight when no call is open, no handler is at work or has work waiting, no message is held back by a
   fault, and nothing is under way on any line, or in the broker.
2. What is under way is found without a clock. A line is flushed by a PING: its PONG says that the broker has read, and
   routed, all that was said before. When every line has been flushed once, all that was said has been routed; when
   every line has been flushed once more, all that was routed has been read here.
3. So: count what passes, wait until all are at rest, flush twice. If the count is the same as before, nothing
   has happened in between, and nothing can any more. Else begin again.

What waits in the hands of the test, as the events of a subscription that it iterates, is not in flight.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import anyio

from cqrsbus.bus.bus import Bus
from cqrsbus.testing.line import Line


class Open:
    """Counts what is open."""

    def __init__(self) -> None:
        self._count = 0
        self._none = anyio.Event()
        self._none.set()

    def __len__(self) -> int:
        return self._count

    @contextmanager
    def one_more(self) -> Generator[None]:
        """Count one more, for as long as it takes."""
        self._count += 1
        if self._none.is_set():
            self._none = anyio.Event()
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self._none.set()

    async def wait_none(self) -> None:
        """Wait until nothing is open."""
        await self._none.wait()


class Moving(Protocol):
    """Whatever says things and does things."""

    @property
    def moves(self) -> int:
        """Counts what it has said and heard."""
        ...

    async def rest(self) -> None:
        """Wait until it has nothing to do."""
        ...

    async def flush(self) -> None:
        """Wait until all that it said has been routed, and all that was routed to it before has been heard."""
        ...


class Member(NamedTuple):
    """A bus that takes part, and its line."""

    bus: Bus
    line: Line

    @property
    def moves(self) -> int:
        """See :attr:`Moving.moves`."""
        return self.line.moves

    async def rest(self) -> None:
        """See :meth:`Moving.rest`; it is connected then, unless it cannot be."""
        if not self.line.is_blocked:
            await self.bus.wait_connected()
        await self.line.wait_nothing_held()
        for consumer in self.bus._consumers:
            await consumer.wait_idle()

    async def flush(self) -> None:
        """See :meth:`Moving.flush`."""
        if self.bus._link is not None:
            await self.bus._link.flush()


async def wait_quiet(members: Sequence[Moving], calls: Open) -> None:
    """Wait until nothing is in flight between these, by the rules above."""
    while True:
        before = _moves(members)
        await calls.wait_none()
        for member in members:
            await member.rest()
        for member in (*members, *members):
            await member.flush()
        if not len(calls) and _moves(members) == before:
            return


def _moves(members: Sequence[Moving]) -> int:
    return sum(member.moves for member in members)
