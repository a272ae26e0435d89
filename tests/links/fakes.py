"""Peers that a client may find at a broker's URL."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

from cqrsbus.transports import ByteStream, listen
from cqrsbus.wire.connection import PREAMBLE, Connection, Role
from cqrsbus.wire.frames import Frame, Kind
from cqrsbus.wire.header import encode_header

TERMS = {
    "heartbeat": 60.0,
    "max_frame": 65536,
    "max_header": 8192,
    "publish_window": 65536,
    "max_open_requests": 16,
}


def welcome(**terms: object) -> bytes:
    """A broker's whole greeting, with some of its terms changed."""
    fields = {key: value for key, value in {**TERMS, **terms}.items() if value is not None}
    return PREAMBLE + Frame.of(Kind.WELCOME, header=encode_header(fields)).encode()  # type: ignore[arg-type]


class FakeBroker:
    """The broker's side of one connection, in a test's own hands."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self._connection = Connection(Role.BROKER, max_frame=1024 * 1024, max_header=65535)
        self._frames: list[Frame] = []

    async def greet(self, **terms: object) -> None:
        """Read the HELLO, say WELCOME."""
        assert (await self.frame()).kind == Kind.HELLO
        self._connection.welcome()
        await self.stream.send(welcome(**terms))

    async def frame(self) -> Frame:
        """The next frame from the client."""
        while not self._frames:
            data = await self.stream.receive()
            assert data, "the client hung up"
            self._connection.receive_data(data)
            while (frame := self._connection.next_frame()) is not None:
                self._frames.append(frame)
        return self._frames.pop(0)

    async def expect(self, kind: Kind) -> Frame:
        """The next frame that is no PING."""
        while (frame := await self.frame()).kind == Kind.PING:
            pass
        assert frame.kind == kind, repr(frame)
        return frame

    async def send(self, *frames: Frame) -> None:
        await self.stream.send(b"".join(frame.encode() for frame in frames))

    async def until_gone(self) -> None:
        """Read until the client hangs up."""
        try:
            while await self.stream.receive():
                pass
        except anyio.BrokenResourceError:
            pass


@asynccontextmanager
async def serving(serve: Callable[[ByteStream], Awaitable[object]]) -> AsyncGenerator[str, None]:
    """Accept connections one after the other; yields the URL."""
    listener = await listen("tcp://127.0.0.1:0")

    async def accept() -> None:
        while True:
            stream = await listener.accept()
            try:
                await serve(stream)
            except (anyio.BrokenResourceError, AssertionError) as error:
                if isinstance(error, AssertionError) and "hung up" not in str(error):
                    raise
            finally:
                stream.close()

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(accept)
            yield listener.url
            tasks.cancel_scope.cancel()
    finally:
        listener.close()
