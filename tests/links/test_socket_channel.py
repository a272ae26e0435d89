"""The greeting: who answers is a broker, or the error says what it is."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anyio
import pytest

from cqrsbus import AuthError, Bus, Code, ConnectError
from cqrsbus.links.socket_channel import NotABrokerError, open_channel
from cqrsbus.transports import ByteStream
from cqrsbus.wire.connection import PREAMBLE
from cqrsbus.wire.frames import Frame, Kind
from cqrsbus.wire.header import encode_header
from tests.links.channels import heard
from tests.links.fakes import FakeBroker, serving, welcome

pytestmark = pytest.mark.anyio


def _error(code: Code, reason: str = "for a reason") -> bytes:
    return PREAMBLE + Frame.of(Kind.ERROR, detail=code, header=encode_header({"reason": reason})).encode()


@pytest.mark.parametrize(
    ("said", "error", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", NotABrokerError, "speaks HTTP"),
        (b"\x15\x03\x03\x00\x02\x02\x16", NotABrokerError, "speaks TLS"),
        (b"220 mail.example.org ESMTP\r\n", NotABrokerError, "not a cqrsbus broker"),
        (b"CQRSBUS\x09", NotABrokerError, "version 9"),
        (b"", ConnectError, "closed the connection during the handshake"),
        (PREAMBLE[:5], ConnectError, "closed the connection during the handshake"),
        (welcome()[:-1], ConnectError, "closed the connection during the handshake"),
        (PREAMBLE + Frame(Kind.PING).encode(), NotABrokerError, "PING"),
        (welcome(heartbeat=None), NotABrokerError, "heartbeat"),
        (welcome(max_frame="x"), NotABrokerError, "max_frame"),
        (PREAMBLE + Frame.of(Kind.WELCOME, header=b"\xc1").encode(), NotABrokerError, "header"),
        (PREAMBLE + Frame.of(Kind.ERROR, detail=1, header=b"\xc1").encode(), NotABrokerError, "header"),
        (_error(Code.TOO_MANY_CONNECTIONS), ConnectError, "no room .* for a reason"),
        (_error(Code.SHUTTING_DOWN), ConnectError, "for a reason"),
        (_error(Code.BAD_FRAME), NotABrokerError, "refused this client: for a reason"),
        (_error(Code.AUTH_FAILED), AuthError, "for a reason"),
    ],
)
async def test_what_answers(said: bytes, error: type[ConnectError], reason: str) -> None:
    async def answer(stream: ByteStream) -> None:
        await stream.receive()
        await stream.send(said)

    with anyio.fail_after(10):
        async with serving(answer) as url:
            with pytest.raises(ConnectError, match=reason) as caught:
                await open_channel(url, "service", "instance")
    assert type(caught.value) is error


async def test_nobody_answers_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cqrsbus.links.socket_channel.HANDSHAKE_TIMEOUT", 0.1)

    async def say_nothing(stream: ByteStream) -> None:
        await FakeBroker(stream).until_gone()

    with anyio.fail_after(5):
        async with serving(say_nothing) as url:
            with pytest.raises(ConnectError, match=r"did not answer within 0\.1 s"):
                await Bus("asker", url).__aenter__()


class _Silent(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def http_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real one, which waits for the end of a line that never comes."""
    monkeypatch.setattr("cqrsbus.links.socket_channel.HANDSHAKE_TIMEOUT", 0.2)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Silent) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"tcp://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_a_real_http_server(http_server: str) -> None:
    with anyio.fail_after(5), pytest.raises(ConnectError, match=r"did not answer|speaks HTTP"):
        await Bus("asker", http_server).__aenter__()


async def test_what_follows_the_welcome_at_once_is_heard() -> None:
    async def greet_and_say_more(stream: ByteStream) -> None:
        broker = FakeBroker(stream)
        await broker.frame()
        await stream.send(welcome() + Frame(Kind.PING, id=7).encode())
        await broker.until_gone()

    with anyio.fail_after(5):
        async with serving(greet_and_say_more) as url:
            channel = await open_channel(url, "service", "instance")
            frames = await heard(channel)
            channel.close()
    assert frames is not None
    assert [(frame.kind, frame.id) for frame in frames] == [(Kind.PING, 7)]


async def test_nobody_listens(tcp_url: str) -> None:
    with anyio.fail_after(5):
        with pytest.raises(ConnectError, match="refused"):
            await open_channel(tcp_url, "service", "instance")
        with pytest.raises(ConnectError, match=r"within 0\.2 s: .*refused"):
            await Bus("asker", tcp_url, connect_timeout=0.2).__aenter__()


async def test_what_is_put_now_is_sent_with_what_is_buffered_and_without_the_writer() -> None:
    received, gone = list[tuple[int, int]](), anyio.Event()

    async def read_two(stream: ByteStream) -> None:
        broker = FakeBroker(stream)
        await broker.greet()
        for _ in range(2):
            frame = await broker.frame()
            received.append((frame.kind, frame.id))
        gone.set()

    with anyio.fail_after(5):
        async with serving(read_two) as url:
            channel = await open_channel(url, "service", "instance")
            # Nobody runs the channel's writer.
            channel.put(Frame(Kind.PING, id=1))
            channel.outbox.put_now(Frame(Kind.PING, id=2))
            await gone.wait()
            channel.close()
    assert received == [(Kind.PING, 1), (Kind.PING, 2)]
