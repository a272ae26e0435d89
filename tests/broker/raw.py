"""A client that speaks the protocol by hand, and so may also break it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from cqrsbus.transports import ByteStream, connect
from cqrsbus.wire.connection import PREAMBLE, Connection, Role
from cqrsbus.wire.envelope import Envelope, encode_envelope
from cqrsbus.wire.frames import Frame, Kind
from cqrsbus.wire.header import Fields, decode_header, encode_header

HELLO = {"service": "raw", "instance": "raw-1", "product": "test"}


def hello(**fields: str) -> Frame:
    return Frame.of(Kind.HELLO, header=encode_header({**HELLO, **fields}))


def message(kind: int, topic: str, body: bytes = b"\x01", *, id: int = 1, **fields: int) -> Frame:
    header = encode_envelope(Envelope(f"m-{id}"))
    return Frame.of(kind, topic=topic.encode(), header=header, body=body, id=id, **fields)


def subscribe(kind: str, pattern: str, *, channel: int = 1, id: int = 100, **fields: str | int) -> Frame:
    header = encode_header({"kind": kind, **fields})
    return Frame.of(Kind.SUBSCRIBE, topic=pattern.encode(), header=header, channel=channel, id=id)


class RawClient:
    """Sends what it is told to, and reads frames one by one."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self._connection = Connection(Role.CLIENT, max_frame=16 * 1024 * 1024, max_header=65535)
        self._frames: list[Frame] = []

    async def send(self, *frames: Frame) -> None:
        await self.stream.send(b"".join(frame.encode() for frame in frames))

    async def greet(self, **fields: str) -> Fields:
        """Say HELLO; return what the WELCOME says."""
        await self.stream.send(PREAMBLE + hello(**fields).encode())
        welcome = await self.expect(Kind.WELCOME)
        return decode_header(welcome.header)

    async def frame(self) -> Frame | None:
        """The next frame; None at the end."""
        while not self._frames:
            data = await self.stream.receive()
            if not data:
                return None
            self._connection.receive_data(data)
            while (frame := self._connection.next_frame()) is not None:
                self._frames.append(frame)
        return self._frames.pop(0)

    async def expect(self, kind: Kind) -> Frame:
        """The next frame that is no PING; it must be of this kind."""
        while True:
            frame = await self.frame()
            assert frame is not None, f"the connection ended instead of {kind.name}"
            if frame.kind != Kind.PING:
                assert frame.kind == kind, f"{frame!r} {dict(decode_header(frame.header))}"
                return frame

    async def expect_refusal(self) -> tuple[int, str]:
        """The broker's last words, and then the end: the code and the reason."""
        error = await self.expect(Kind.ERROR)
        assert await self.frame() is None
        return error.detail, str(decode_header(error.header)["reason"])


@asynccontextmanager
async def raw_client(url: str) -> AsyncGenerator[RawClient, None]:
    stream = await connect(url)
    try:
        yield RawClient(stream)
    finally:
        stream.close()
