"""What a socket stream owes to the system beneath it, it owes also while the loop watches its socket."""

import socket
from collections.abc import Iterator

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cqrsbus.native import asyncio_loop
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


async def expect_closed(stream: SocketStream) -> None:
    with pytest.raises(anyio.ClosedResourceError):
        await stream.receive()


async def test_what_came_is_received_in_order_however_the_receiver_comes_to_it(ends: Ends) -> None:
    stream, theirs = ends
    with anyio.fail_after(5):
        for number in range(20):
            theirs.send(bytes([number]) * 3)
            assert await stream.receive(2) == bytes([number]) * 2
            if number % 3:
                await anyio.wait_all_tasks_blocked()
            assert await stream.receive() == bytes([number])


async def test_close_wakes_who_receives_and_the_descriptor_goes_with_the_task(ends: Ends) -> None:
    stream, theirs = ends
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expect_closed, stream)
            await anyio.wait_all_tasks_blocked()
            stream.close()
            assert theirs.recv(1) == b""
    assert stream._sock.fileno() == -1


async def test_a_stream_that_was_watched_and_is_not_waited_on_closes_at_once(ends: Ends) -> None:
    stream, theirs = ends
    with anyio.move_on_after(0.01):
        await stream.receive()
    assert stream._readable.is_registered == (asyncio_loop() is not None)
    stream.close()
    assert stream._sock.fileno() == -1
    assert theirs.recv(1) == b""


async def test_a_new_socket_with_the_number_of_a_closed_one_is_left_alone(ends: Ends) -> None:
    stream, _ = ends
    with anyio.fail_after(5):
        # Watched, and not waited on: its number is free as soon as it is closed.
        with anyio.move_on_after(0.01):
            await stream.receive()
        number = stream._sock.fileno()
        stream.close()
        ours, theirs = socket.socketpair()
        assert number in (ours.fileno(), theirs.fileno())
        fresh, far = (ours, theirs) if ours.fileno() == number else (theirs, ours)
        again = SocketStream(fresh, "again")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_send_when_all_wait, far)
            assert await again.receive() == b"x"
        again.close()
        far.close()


async def test_a_socket_made_while_the_woken_task_has_not_run_is_left_alone(ends: Ends) -> None:
    stream, _ = ends
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expect_closed, stream)
            await anyio.wait_all_tasks_blocked()
            # From here to the receive nothing gives the woken task a turn.
            stream.close()
            ours, theirs = socket.socketpair()
            fresh = SocketStream(ours, "fresh")
            tasks.start_soon(_send_when_all_wait, theirs)
            assert await fresh.receive() == b"x"
            fresh.close()
            theirs.close()


async def test_a_blocked_send_does_not_disturb_a_watched_receive(ends: Ends) -> None:
    stream, theirs = ends
    theirs.setblocking(False)
    size = 4 * 1024 * 1024

    received = list[bytes]()

    async def receive() -> None:
        while len(received) < 5:
            received.append(await stream.receive())

    taken = 0
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.send, bytes(size))
            tasks.start_soon(receive)
            for number in range(5):
                await anyio.wait_all_tasks_blocked()
                theirs.send(b"x")
                while len(received) == number:
                    await checkpoint()
            while taken < size:
                await anyio.wait_readable(theirs)
                taken += len(theirs.recv(65536))
    assert received == [b"x"] * 5
    assert taken == size


async def _send_when_all_wait(sock: socket.socket) -> None:
    await anyio.wait_all_tasks_blocked()
    sock.send(b"x")
