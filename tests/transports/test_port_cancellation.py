"""Cancellation loses and tears nothing, run over each transport on each backend."""

import anyio
import pytest
from anyio import fail_after, wait_all_tasks_blocked

from tests.transports.exchange import MORE_THAN_FITS, Pair, noise, receive_to_the_end

pytestmark = pytest.mark.anyio


async def test_a_cancelled_receive_loses_nothing(pair: Pair) -> None:
    here, there = pair
    data = noise(300_000)
    got = bytearray()
    cancelled = 0

    async def send() -> None:
        for start in range(0, len(data), 1000):
            await here.send(data[start : start + 1000])
            await anyio.lowlevel.checkpoint()

    with fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            while len(got) < len(data):
                with anyio.move_on_after(0) as scope:
                    got += await there.receive(701)
                cancelled += scope.cancelled_caught
                with anyio.CancelScope() as scope:
                    tasks.start_soon(_cancel, scope)
                    got += await there.receive(503)
    assert cancelled
    assert got == data


async def _cancel(scope: anyio.CancelScope) -> None:
    scope.cancel()


async def test_operations_that_need_not_wait_notice_a_cancellation(pair: Pair) -> None:
    here, there = pair
    with fail_after(5):
        await here.send(b"kept")
        with anyio.CancelScope() as scope:
            scope.cancel()
            await there.receive()
        assert scope.cancelled_caught
        with anyio.CancelScope() as scope:
            scope.cancel()
            await here.send(b"never sent")
        assert scope.cancelled_caught
        here.close()
        assert await receive_to_the_end(there) == b"kept"


@pytest.mark.parametrize("operation", ["send", "receive"])
async def test_operations_that_need_not_wait_let_others_run(pair: Pair, operation: str) -> None:
    here, there = pair
    ran = anyio.Event()

    async def other() -> None:
        ran.set()

    with fail_after(5):
        await here.send(bytes(100))
        assert await there.receive(1) == b"\0"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other)
            for _ in range(64):
                if operation == "send":
                    await here.send(b"x")
                else:
                    await there.receive(1)
            assert ran.is_set()


async def test_a_send_cancelled_before_its_first_byte_leaves_the_stream_whole(pair: Pair) -> None:
    here, there = pair
    with fail_after(5):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await here.send(bytes(MORE_THAN_FITS))
        await here.send(b"whole")
        assert await there.receive() == b"whole"


async def test_a_send_cancelled_midway_ends_sending_but_not_receiving(pair: Pair) -> None:
    here, there = pair
    with fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.send, bytes(MORE_THAN_FITS))
            await wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        with pytest.raises(anyio.BrokenResourceError):
            here.send_nowait(b"x")
        with pytest.raises(anyio.BrokenResourceError):
            await here.send(b"x")
        await there.send(b"still heard")
        assert await here.receive() == b"still heard"


async def test_one_task_at_a_time(pair: Pair) -> None:
    here, _ = pair
    with fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.receive)
            tasks.start_soon(here.send, bytes(MORE_THAN_FITS))
            await wait_all_tasks_blocked()
            with pytest.raises(anyio.BusyResourceError):
                await here.receive()
            with pytest.raises(anyio.BusyResourceError):
                here.receive_nowait()
            with pytest.raises(anyio.BusyResourceError):
                await here.send(b"x")
            with pytest.raises(anyio.BusyResourceError):
                here.send_nowait(b"x")
            with pytest.raises(anyio.BusyResourceError):
                here.send_eof()
            tasks.cancel_scope.cancel()
