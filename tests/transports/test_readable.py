"""A socket is registered once, and neither a slow reader nor a cancelled or a closed one leaves anything behind."""

import socket
from collections.abc import Callable, Iterator

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cqrsbus.native import asyncio_loop
from cqrsbus.transports.readable import Readable

pytestmark = pytest.mark.anyio

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


class Registrations:
    """Counts how often the loop is told of a socket; on trio it never is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.loop = asyncio_loop()
        if self.loop is not None:
            add_reader = self.loop.add_reader

            def counted(fd: int, callback: Callable[[], None]) -> None:
                self.count += 1
                add_reader(fd, callback)

            monkeypatch.setattr(self.loop, "add_reader", counted)


async def receive_when_readable(readable: Readable, sock: socket.socket) -> bytes:
    while True:
        await readable.wait(sock)
        try:
            return sock.recv(100)
        except BlockingIOError:
            continue


async def test_it_is_registered_once_for_many_waits(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pair
    registrations, readable, received = Registrations(monkeypatch), Readable(), list[bytes]()

    async def receive() -> None:
        while len(received) < 10:
            received.append(await receive_when_readable(readable, ours))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            for number in range(10):
                await anyio.wait_all_tasks_blocked()
                theirs.send(bytes([number]))
                while len(received) == number:
                    await checkpoint()
    readable.close()
    assert received == [bytes([number]) for number in range(10)]
    if registrations.loop is not None:
        assert registrations.count == 1


async def test_what_nobody_waits_for_is_not_watched_and_the_next_wait_finds_it(pair: Pair) -> None:
    ours, theirs = pair
    readable = Readable()
    with anyio.fail_after(5):
        theirs.send(b"1")
        assert await receive_when_readable(readable, ours) == b"1"
        theirs.send(b"2")
        # The loop sees it, at most twice, and then looks no more.
        while readable.is_registered:
            await checkpoint()
        assert await receive_when_readable(readable, ours) == b"2"
    readable.close()


async def test_the_next_wait_after_a_cancelled_one_finds_what_came(pair: Pair) -> None:
    ours, theirs = pair
    readable = Readable()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_wait, readable, ours)
            await anyio.wait_all_tasks_blocked()
            # Both at the same time: which the task sees is up to the event loop.
            theirs.send(b"x")
            tasks.cancel_scope.cancel()
        assert await receive_when_readable(readable, ours) == b"x"
    readable.close()


async def test_a_wait_that_is_cancelled_ends(pair: Pair) -> None:
    readable = Readable()
    with anyio.fail_after(5), anyio.move_on_after(0.01) as scope:
        await readable.wait(pair[0])
    assert scope.cancelled_caught
    readable.close()


async def test_the_end_of_the_stream_is_readable(pair: Pair) -> None:
    ours, theirs = pair
    readable = Readable()
    with anyio.fail_after(5):
        theirs.close()
        assert await receive_when_readable(readable, ours) == b""
    readable.close()


async def test_close_takes_out_what_is_registered_and_may_be_called_again(pair: Pair) -> None:
    readable = Readable()
    with anyio.move_on_after(0.01):
        await readable.wait(pair[0])
    assert readable.is_registered == (asyncio_loop() is not None)
    readable.close()
    readable.close()
    assert not readable.is_registered


def test_it_can_be_closed_when_its_loop_is_gone(pair: Pair, anyio_backend: tuple[str, dict[str, bool]]) -> None:
    readable, (name, options) = Readable(), anyio_backend

    async def wait() -> None:
        with anyio.move_on_after(0.01):
            await readable.wait(pair[0])

    anyio.run(wait, backend=name, backend_options=options)
    readable.close()
    assert not readable.is_registered


async def test_a_loop_that_cannot_watch_sockets_is_helped_by_anyio(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pair
    loop, readable = asyncio_loop(), Readable()
    if loop is not None:
        monkeypatch.setattr(loop, "add_reader", _refuse)
        monkeypatch.setattr(loop, "remove_reader", _refuse)
    with anyio.fail_after(5):
        for text in (b"1", b"2"):
            theirs.send(text)
            assert await receive_when_readable(readable, ours) == text
    assert not readable.is_registered
    readable.close()


async def _wait(readable: Readable, sock: socket.socket) -> None:
    await readable.wait(sock)


def _refuse(*_: object) -> None:
    raise NotImplementedError


async def test_who_watches_is_told_each_time_until_it_watches_no_more(pair: Pair) -> None:
    ours, theirs = pair
    readable, received = Readable(), list[bytes]()
    if not readable.watch(ours, lambda: received.append(ours.recv(100))):
        assert asyncio_loop() is None
        return
    with anyio.fail_after(5):
        for number in range(3):
            theirs.send(bytes([number]))
            while len(received) == number:
                await checkpoint()
        readable.unwatch()
        theirs.send(b"3")
        await anyio.wait_all_tasks_blocked()
        assert received == [b"\x00", b"\x01", b"\x02"]
        assert await receive_when_readable(readable, ours) == b"3"
    readable.close()


async def test_who_watches_is_told_once_of_the_close(pair: Pair) -> None:
    ours, theirs = pair
    readable, told = Readable(), list[str]()
    watched = readable.watch(ours, lambda: told.append("told"))
    readable.close()
    readable.close()
    theirs.send(b"1")
    await anyio.wait_all_tasks_blocked()
    assert told == ["told"] * watched
    assert not readable.is_registered
