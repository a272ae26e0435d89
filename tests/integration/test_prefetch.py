"""``prefetch=``: what a busy instance has in hand nobody else can take, and what it has not, somebody can."""

import anyio
import pytest

from cqrsbus import Bus

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("prefetch", "left"), [(1, 4), (3, 2)])
async def test_what_is_not_in_hand_goes_to_whoever_is_free(url: str, prefetch: int, left: int) -> None:
    busy, free, release, started = Bus("s", url), Bus("s", url), anyio.Event(), anyio.Event()
    handled: list[int] = []

    @busy.command_handler("c", prefetch=prefetch)
    async def hold(number: int) -> None:
        started.set()
        await release.wait()

    @free.command_handler("c")
    async def handle(number: int) -> None:
        handled.append(number)
        if len(handled) == left:
            all_handled.set()

    with anyio.fail_after(20):
        all_handled = anyio.Event()
        async with Bus("caller", url) as caller, busy:
            async with anyio.create_task_group() as tasks:
                for number in range(5):
                    tasks.start_soon(caller.send, "c", number)
                    await anyio.wait_all_tasks_blocked()
                await started.wait()
                async with free:
                    await all_handled.wait()
            release.set()
    assert handled == list(range(5 - left, 5))
