"""A link over channels that a test plays."""

import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio

from cqrsbus.links.broker_link import BrokerLink
from cqrsbus.links.channel import Terms
from cqrsbus.links.outgoing import Outgoing
from cqrsbus.links.port import LinkStatus, Sink, SubscriptionSpec
from cqrsbus.links.unbuffered_outbox import UnbufferedOutbox
from cqrsbus.wire.envelope import Envelope
from cqrsbus.wire.frames import Frame, Kind

TERMS = Terms(heartbeat=0, max_frame=65536, max_header=8192, publish_window=4096, max_open_requests=4)
NOTHING: list[tuple[SubscriptionSpec, Sink]] = []


class FakeChannel:
    """A channel whose other side is the test."""

    def __init__(self) -> None:
        self.terms = TERMS
        self.outbox = UnbufferedOutbox(self)
        self.last_received = self.last_sent = 0.0
        self.roomy = True
        self.closed = False
        self.stuck = anyio.Event()
        self._said: list[Frame] = []
        self._spoke = anyio.Event()
        self._send, self._receive = anyio.create_memory_object_stream[list[Frame]](math.inf)

    def put(self, frame: Frame) -> None:
        if not self.closed:
            self._said.append(frame)
            self._spoke.set()

    def has_room(self) -> bool:
        return self.roomy

    async def wait_room(self) -> None:
        while not self.roomy and not self.closed:
            await anyio.lowlevel.checkpoint()

    async def listen(self, consume: Callable[[list[Frame]], bool]) -> None:
        while (frames := await self.receive()) is not None:
            if not consume(frames):
                return

    async def receive(self) -> list[Frame] | None:
        try:
            return await self._receive.receive()
        except anyio.EndOfStream:
            return None

    async def run(self) -> None:
        await self.stuck.wait()
        raise TimeoutError

    def close(self) -> None:
        self.closed = True
        self._send.close()
        self._receive.close()

    # The test's side.

    async def said(self, kind: Kind) -> Frame:
        """The next frame from the link."""
        while not self._said:
            self._spoke = anyio.Event()
            await self._spoke.wait()
        frame = self._said.pop(0)
        assert frame.kind == kind, repr(frame)
        return frame

    @property
    def silent(self) -> bool:
        return not self._said

    def say(self, *frames: Frame) -> None:
        self._send.send_nowait(list(frames))

    def hang_up(self) -> None:
        self._send.close()


class Broker:
    """Hands out channels, when it is told to."""

    def __init__(self) -> None:
        self.next: list[FakeChannel | Exception] = []
        self.wanted = anyio.Event()

    async def open(self) -> FakeChannel:
        await anyio.lowlevel.checkpoint()
        while not self.next:
            self.wanted.set()
            self.wanted = anyio.Event()
            await anyio.lowlevel.checkpoint()
        found = self.next.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


@asynccontextmanager
async def running(
    *channels: FakeChannel, handlers: list[tuple[SubscriptionSpec, Sink]] = NOTHING
) -> AsyncGenerator[tuple[BrokerLink, Broker], None]:
    broker = Broker()
    broker.next += channels
    link = BrokerLink(broker.open, "fake")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            await tasks.start(link.run, handlers)
            yield link, broker
            tasks.cancel_scope.cancel()
    assert link.status is LinkStatus.CLOSED
    assert len(link._calls) == 0


def outgoing(size: int = 1) -> Outgoing:
    return Outgoing("t", Envelope("m"), b"x" * size)


class Outcome:
    """What became of a call."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.ended = anyio.Event()

    async def of(self, call: object) -> None:
        try:
            await call  # type: ignore[misc]  # a coroutine
        except Exception as error:  # noqa: BLE001
            self.error = error
        self.ended.set()
