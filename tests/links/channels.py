"""A channel in a test's own hands, without a broker behind it."""

from collections.abc import Callable

import anyio

from cqrsbus.errors import BusError
from cqrsbus.links.call import Call
from cqrsbus.links.channel import AnyOutbox, Channel, Terms
from cqrsbus.links.unbuffered_outbox import UnbufferedOutbox
from cqrsbus.wire.frames import Frame, Kind


class FakeChannel:
    """See :class:`cqrsbus.links.channel.Channel`; it keeps what is put, and gives what it is told to."""

    def __init__(self, *, heartbeat: float = 0, max_frame: int = 4096, max_header: int = 256) -> None:
        self.terms = Terms(heartbeat, max_frame, max_header, 65536, 16)
        self.outbox: AnyOutbox = UnbufferedOutbox(self)
        self.last_received = self.last_sent = 0.0
        self.roomy = True
        #: What was put and not taken.
        self.frames: list[Frame] = []
        #: What :meth:`run` raises when it is set.
        self.stuck: BaseException | None = None
        self._said: list[Frame] = []
        self._end: BusError | bool = False
        self._changed: anyio.Event | None = None

    def has_room(self) -> bool:
        return self.roomy

    # The other end.

    def say(self, *frames: Frame) -> None:
        """Let these be received, together."""
        self._said += frames
        self._wake()

    def end(self, error: BusError | None = None) -> None:
        """End the stream, or break it."""
        self._end = error or True
        self._wake()

    async def expect_any(self) -> Frame:
        """Wait until a frame is put, and take it."""
        await self._wait(lambda: bool(self.frames))
        return self.frames.pop(0)

    async def expect(self, kind: Kind) -> Frame:
        """Wait until a frame is put; it must be of this kind."""
        frame = await self.expect_any()
        assert frame.kind == kind, repr(frame)
        return frame

    # The link's.

    def put(self, frame: Frame) -> None:
        self.frames.append(frame)
        self._wake()

    async def wait_room(self) -> None:
        raise NotImplementedError

    async def listen(self, consume: Callable[[list[Frame]], bool]) -> None:
        while (frames := await self.receive()) is not None:
            if not consume(frames):
                return

    async def receive(self) -> list[Frame] | None:
        await self._wait(lambda: bool(self._said or self._end))
        if self._said:
            said, self._said = self._said, []
            return said
        if isinstance(self._end, BusError):
            raise self._end
        return None

    async def run(self) -> None:
        if self.stuck is not None:
            raise self.stuck
        await anyio.sleep_forever()

    def close(self) -> None:
        raise NotImplementedError

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    async def _wait(self, condition: Callable[[], bool]) -> None:
        while not condition():
            changed = self._changed = self._changed or anyio.Event()
            await changed.wait()


async def outcome(call: Call) -> Frame:
    """What a call ends with."""
    await call.end()
    return call.result()


async def heard(channel: Channel) -> list[Frame] | None:
    """What comes next over a channel; None at its end."""
    found: list[list[Frame]] = []

    def take(frames: list[Frame]) -> bool:
        found.append(frames)
        return False

    await channel.listen(take)
    return found[0] if found else None
