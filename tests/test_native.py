"""Which loop runs is asked of anyio, on every backend."""

import math

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cqrsbus.native import asyncio_loop, scope_deadline


@pytest.mark.anyio
async def test_it_is_the_loop_that_runs_the_task(anyio_backend: tuple[str, dict[str, bool]]) -> None:
    loop = asyncio_loop()
    if anyio_backend[0] == "trio":
        assert loop is None
    else:
        import asyncio

        assert loop is asyncio.get_running_loop()


@pytest.mark.anyio
async def test_the_deadline_is_that_of_the_scopes_around() -> None:
    deadline = scope_deadline()
    await checkpoint()
    assert deadline() == math.inf
    with anyio.fail_after(1000) as outer:
        await checkpoint()
        assert deadline() == anyio.current_effective_deadline() == outer.deadline
        with anyio.move_on_after(2000):
            await checkpoint()
            assert deadline() == outer.deadline
            outer.cancel()
            assert deadline() == -math.inf
        with anyio.CancelScope(shield=True):
            await checkpoint()
            assert deadline() == math.inf


def test_without_a_loop_there_is_none_to_return() -> None:
    for find in (asyncio_loop, scope_deadline):
        with pytest.raises(anyio.NoEventLoopError):
            find()


def test_trio_as_the_guest_of_an_asyncio_loop_is_trio() -> None:
    import asyncio

    import trio

    seen = list[object]()

    async def guest() -> None:
        seen.append(asyncio_loop())
        await checkpoint()

    async def host() -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        trio.lowlevel.start_guest_run(
            guest, run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=lambda _: done.set()
        )
        await asyncio.wait_for(done.wait(), 5)

    asyncio.run(host())
    assert seen == [None]
