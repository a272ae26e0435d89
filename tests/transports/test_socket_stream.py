"""What a socket stream owes to the system beneath it."""

import socket
import struct
from collections.abc import Iterator

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cqrsbus.transports.socket_stream import SocketStream

pytestmark = pytest.mark.anyio

Ends = tuple[SocketStream, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """A stream and the plain socket at its other end."""
    ours, theirs = socket.socketpair()
    stream = SocketStream(ours, "test")
    yield stream, theirs
    stream.close()
    theirs.close()


@pytest.fixture
def tcp_ends() -> Iterator[Ends]:
    """The same over tcp."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    stream = SocketStream(ours, "test")
    yield stream, theirs
    stream.close()
    theirs.close()


async def test_a_reset_is_a_broken_stream_and_stays_one(tcp_ends: Ends) -> None:
    stream, theirs = tcp_ends
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    with anyio.fail_after(5):
        for _ in range(2):
            with pytest.raises(anyio.BrokenResourceError) as caught:
                await stream.receive()
            assert isinstance(caught.value.__cause__, ConnectionResetError)
        with pytest.raises(anyio.BrokenResourceError):
            stream.receive_nowait()


async def test_a_reset_wakes_a_waiting_receive(tcp_ends: Ends) -> None:
    stream, theirs = tcp_ends
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def receive() -> None:
        with pytest.raises(anyio.BrokenResourceError):
            await stream.receive()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            await anyio.wait_all_tasks_blocked()
            theirs.close()


async def test_nothing_is_read_ahead(ends: Ends) -> None:
    stream, theirs = ends
    theirs.setblocking(False)
    sent = 0
    while True:
        try:
            sent += theirs.send(bytes(65536))
        except BlockingIOError:
            break
    with anyio.fail_after(5):
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(BlockingIOError):
            theirs.send(b"x")
        assert len(await stream.receive(1)) == 1


async def test_why_it_broke_is_told_each_time(ends: Ends) -> None:
    """The system tells it once."""
    stream, theirs = ends
    stream.send_nowait(b"unread")
    theirs.close()
    causes = list[BaseException | None]()
    with anyio.fail_after(5):
        while len(causes) < 2:
            try:
                stream.send_nowait(b"more")
            except anyio.BrokenResourceError as error:
                causes.append(error.__cause__)
            await checkpoint()
    assert isinstance(causes[0], OSError)
    assert causes[1] is causes[0]


async def test_a_new_socket_with_the_number_of_a_closed_one_is_left_alone(ends: Ends) -> None:
    stream, _ = ends

    async def expect_closed() -> None:
        with pytest.raises(anyio.ClosedResourceError):
            await stream.receive()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expect_closed)
            await anyio.wait_all_tasks_blocked()
            # From here to the receive nothing gives the woken task a turn.
            stream.close()
            ours, theirs = socket.socketpair()
            fresh = SocketStream(ours, "fresh")
            tasks.start_soon(_send_when_all_wait, theirs)
            assert await fresh.receive() == b"x"
            fresh.close()
            theirs.close()


async def _send_when_all_wait(sock: socket.socket) -> None:
    await anyio.wait_all_tasks_blocked()
    sock.send(b"x")


async def test_the_descriptor_is_closed_with_the_last_waiting_task(ends: Ends) -> None:
    stream, theirs = ends

    async def expect_closed() -> None:
        with pytest.raises(anyio.ClosedResourceError):
            await stream.receive()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expect_closed)
            await anyio.wait_all_tasks_blocked()
            stream.close()
            assert theirs.recv(1) == b""
        assert stream._sock.fileno() == -1


def test_a_stream_nobody_waits_on_closes_without_an_event_loop(ends: Ends) -> None:
    stream, theirs = ends
    stream.close()
    assert theirs.recv(1) == b""
    assert "closed" in repr(stream)


async def test_sending_the_end_to_a_peer_that_left_is_no_error(tcp_ends: Ends) -> None:
    stream, theirs = tcp_ends
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    with anyio.fail_after(5), pytest.raises(anyio.BrokenResourceError):
        await stream.receive()
    stream.send_eof()
    with pytest.raises(anyio.ClosedResourceError):
        stream.send_nowait(b"x")
