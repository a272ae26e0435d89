"""Nothing that a connection or a shortage does ends a listener."""

import errno
import logging
import os
import socket
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import anyio
import pytest

from cqrsbus.transports import connect
from cqrsbus.transports.socket_listener import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Backoff, SocketListener
from cqrsbus.transports.socket_stream import SocketStream

pytestmark = pytest.mark.anyio


class FailingSocket(socket.socket):
    """A listening socket whose ``accept`` first raises the given errors."""

    errors: Iterator[int] = iter(())
    attempts = 0

    def accept(self) -> tuple[socket.socket, Any]:
        self.attempts += 1
        for number in self.errors:
            raise OSError(number, os.strerror(number))
        return super().accept()


@pytest.fixture
def sock() -> Iterator[FailingSocket]:
    made = FailingSocket(socket.AF_INET, socket.SOCK_STREAM)
    made.bind(("127.0.0.1", 0))
    made.listen()
    yield made
    made.close()


def stream(sock: socket.socket, _: object) -> SocketStream:
    return SocketStream(sock, "peer")


async def accept_after(sock: FailingSocket, errors: Iterable[int], listener: SocketListener) -> None:
    sock.errors = iter(list(errors))
    with socket.create_connection(sock.getsockname()), anyio.fail_after(5):
        (await listener.accept()).close()


async def test_connections_that_failed_are_passed_over_at_once(sock: FailingSocket) -> None:
    listener = SocketListener(sock, "test", stream)
    with anyio.fail_after(0.5):
        await accept_after(sock, [errno.ECONNABORTED] * 40 + [errno.EPROTO, errno.ENETDOWN], listener)
    assert sock.attempts == 43
    listener.close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EIO])
async def test_a_shortage_is_waited_out_without_spinning(sock: FailingSocket, number: int) -> None:
    listener = SocketListener(sock, "test", stream)
    started = anyio.current_time()
    await accept_after(sock, [number] * 2, listener)
    assert anyio.current_time() - started >= 0.29
    assert sock.attempts == 3
    assert listener._backoff.pause() == FIRST_PAUSE_SECONDS
    listener.close()


def test_the_pauses_double_and_stay_under_a_second() -> None:
    backoff = Backoff()
    assert [backoff.pause() for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 0.8, 0.8]
    backoff.reset()
    assert backoff.pause() == 0.1


async def test_a_shortage_is_logged_once_per_ten_seconds(sock: FailingSocket, caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    listener = SocketListener(sock, "tcp://h:1", stream, clock=lambda: now)
    with caplog.at_level(logging.WARNING, "cqrsbus.transports"):
        await accept_after(sock, [errno.EMFILE] * 2, listener)
        assert [record.message for record in caplog.records] == [
            f"tcp://h:1 cannot accept connections for now and keeps trying: "
            f"[Errno {errno.EMFILE}] {os.strerror(errno.EMFILE)}"
        ]
        now = 109.9
        await accept_after(sock, [errno.EMFILE], listener)
        assert len(caplog.records) == 1
        now = 110.0
        await accept_after(sock, [errno.EMFILE], listener)
        assert len(caplog.records) == 2
    listener.close()


async def test_closing_ends_the_pause(sock: FailingSocket) -> None:
    def shortage() -> Iterator[int]:
        while True:
            yield errno.EMFILE

    sock.errors = shortage()
    listener = SocketListener(sock, "test", stream)
    closed_at = anyio.current_time()

    async def accept() -> None:
        with pytest.raises(anyio.ClosedResourceError):
            await listener.accept()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(accept)
            while sock.attempts < 4:
                await anyio.wait_all_tasks_blocked()
            closed_at = anyio.current_time()
            listener.close()
        assert anyio.current_time() - closed_at < LONGEST_PAUSE_SECONDS / 2
    assert sock.attempts == 4
    assert sock.fileno() == -1


async def test_a_listening_socket_that_is_no_good_ends_the_listener(sock: FailingSocket) -> None:
    listener = SocketListener(sock, "test", stream)
    sock.errors = iter([errno.EINVAL])
    with anyio.fail_after(5), pytest.raises(anyio.BrokenResourceError):
        await listener.accept()
    listener.close()


async def test_a_connection_that_cannot_become_a_stream_is_passed_over(sock: FailingSocket) -> None:
    refused: list[socket.socket] = []

    def make(accepted: socket.socket, address: object) -> SocketStream:
        if not refused:
            refused.append(accepted)
            _fail()
        return stream(accepted, address)

    listener = SocketListener(sock, "test", make)
    with socket.create_connection(sock.getsockname()) as first:
        first.settimeout(5)
        await accept_after(sock, [], listener)
        assert first.recv(1) == b""
    assert refused[0].fileno() == -1
    listener.close()


def _fail() -> NoReturn:
    raise OSError(errno.EINVAL, "the peer left already")


SCARCE = """
import logging, resource, sys
from cqrsbus.transports import listen

logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(levelname)s %(message)s")

async def serve(stream):
    await stream.send(b"!")
    await stream.receive()
    stream.close()

async def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    listener = await listen("tcp://127.0.0.1:0")
    print(listener.url, flush=True)
    async with anyio.create_task_group() as tasks:
        while True:
            tasks.start_soon(serve, await listener.accept())
"""


async def test_a_listener_survives_running_out_of_descriptors(program: Any) -> None:
    with anyio.fail_after(20):
        async with program(SCARCE) as server:
            url = (await server.line()).strip()
            streams = [await connect(url) for _ in range(80)]
            for stream in streams[:40]:
                assert await stream.receive() == b"!"
            assert (await server.line()).startswith("WARNING tcp://127.0.0.1:")
            for stream in streams[:40]:
                stream.close()
            with anyio.fail_after(1):
                for stream in streams[40:]:
                    assert await stream.receive() == b"!"
            assert server.process.returncode is None
            for stream in streams:
                stream.close()
