"""A bus' line to its broker, tapped: what passes is counted, and disturbed where a test says so.

The rules:

1. Every frame but PING and PONG counts, and so does a connection that comes or goes: whoever finds the same count
   twice knows that nothing has happened in between.
2. A fault takes a message as it is put: it is lost, or held back, and with it what comes behind it on the same topic.
   Other topics go on. What is said of a request that is held back stays behind it.
3. A cut is what pulling the cable is: what was not sent, or not read, is gone with the connection.
"""

from collections.abc import Callable
from typing import Final

import anyio

from cqrsbus.background import Background
from cqrsbus.bus.embedded import OpenChannel
from cqrsbus.errors import ConnectionLostError
from cqrsbus.links.channel import Channel, Terms
from cqrsbus.links.unbuffered_outbox import UnbufferedOutbox
from cqrsbus.testing.faults import Faults
from cqrsbus.testing.held import Held
from cqrsbus.wire.frames import Flag, Frame, Kind

_HEARTBEAT: Final = frozenset({Kind.PING, Kind.PONG})
_MESSAGES: Final = frozenset({Kind.SEND, Kind.ASK, Kind.PUBLISH})


class Line:
    """One bus' line to its broker, over all its connections.

    Args:
        faults: What is to go wrong.
    """

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        #: What has passed: equal numbers mean that nothing has.
        self.moves = 0
        self.channel: TappedChannel | None = None
        self._blocks = 0
        self._open = anyio.Event()
        self._open.set()

    def around(self, opener: OpenChannel) -> OpenChannel:
        """Tap every channel that is opened."""

        async def open_tapped() -> Channel:
            while True:
                await self._open.wait()
                channel = await opener()
                if not self.is_blocked:
                    break
                channel.close()
            self.channel = TappedChannel(channel, self)
            self.moves += 1
            return self.channel

        return open_tapped

    @property
    def is_blocked(self) -> bool:
        """Whether it stays cut until :meth:`unblock`."""
        return self._blocks > 0

    async def cut(self) -> None:
        """Lose the connection; return when the bus has noticed."""
        if self.channel is not None:
            self.channel.cut()
            await self.channel.closed.wait()

    def block(self) -> None:
        """Let no new connection come about, until :meth:`unblock` was called as often."""
        self._blocks += 1
        if self._open.is_set():
            self._open = anyio.Event()

    def unblock(self) -> None:
        """Let the bus connect again."""
        self._blocks -= 1
        if not self.is_blocked:
            self._open.set()

    async def wait_nothing_held(self) -> None:
        """Wait until no message is held back."""
        if self.channel is not None:
            await self.channel.held.wait_empty()


class TappedChannel:
    """See :class:`cqrsbus.links.channel.Channel`; it passes on what it is given, unless a fault takes it.

    Args:
        channel: The real one.
        line: Whose it is.
    """

    def __init__(self, channel: Channel, line: Line) -> None:
        self._channel = channel
        self._line = line
        self._reading = anyio.CancelScope()
        self._is_cut = False
        self._refunds: list[Frame] = []
        #: Not the real one: whatever is put is looked at here.
        self.outbox = UnbufferedOutbox(self)
        self.held = Held()
        self.closed = anyio.Event()

    @property
    def terms(self) -> Terms:
        """See :attr:`Channel.terms`."""
        return self._channel.terms

    @property
    def last_received(self) -> float:
        """See :attr:`Channel.last_received`."""
        return self._channel.last_received

    @property
    def last_sent(self) -> float:
        """See :attr:`Channel.last_sent`."""
        return self._channel.last_sent

    def has_room(self) -> bool:
        """See :meth:`Channel.has_room`."""
        return self._channel.has_room()

    async def wait_room(self) -> None:
        """See :meth:`Channel.wait_room`."""
        await self._channel.wait_room()

    def put(self, frame: Frame) -> None:
        """See :meth:`Channel.put`."""
        if self._is_cut or self.closed.is_set():
            return
        self._line.moves += frame.kind not in _HEARTBEAT
        if frame.kind in _MESSAGES:
            self._put_message(frame)
        elif not self._is_of_one_held(frame):
            self._channel.put(frame)

    async def listen(self, consume: Callable[[list[Frame]], bool]) -> None:
        """See :meth:`Channel.listen`."""

        def take(frames: list[Frame]) -> bool:
            if self._is_cut:
                return False
            self._line.moves += sum(frame.kind not in _HEARTBEAT for frame in frames)
            refunds, self._refunds = self._refunds, []
            return consume(refunds + frames)

        if not self._is_cut:
            with anyio.CancelScope() as self._reading:
                await self._channel.listen(take)
                return
        raise ConnectionLostError("the test has cut the connection")

    async def run(self) -> None:
        """See :meth:`Channel.run`."""
        async with Background() as tasks:
            tasks.start_soon(self.held.release, self._channel.put)
            await self._channel.run()

    def cut(self) -> None:
        """Lose the connection at once."""
        self._is_cut = True
        self._reading.cancel()
        self._channel.close()

    def close(self) -> None:
        """See :meth:`Channel.close`."""
        self._channel.close()
        self.held.clear()
        self._line.moves += 1
        self.closed.set()

    def _is_of_one_held(self, frame: Frame) -> bool:
        """Whether it is about a request that is held back; then that is seen to."""
        if frame.kind == Kind.CANCEL:
            return self.held.remove(frame.id)
        return frame.kind == Kind.CREDIT and bool(frame.flags & Flag.OF_STREAM) and self.held.add_behind(frame)

    def _put_message(self, frame: Frame) -> None:
        fault = self._line.faults.strike(frame.topic)
        if fault is not None and fault.seconds is None:
            self._lose(frame)
        elif fault is not None or self.held.holds(frame.topic):
            self.held.add(frame, (fault.seconds if fault is not None else None) or 0.0)
        else:
            self._channel.put(frame)

    def _lose(self, frame: Frame) -> None:
        if frame.kind == Kind.PUBLISH:
            # Its bytes are no longer under way. The PONG makes sure that the bus hears of it.
            self._refunds.append(Frame(Kind.CREDIT, id=frame.size))
            self._channel.put(Frame(Kind.PING))
