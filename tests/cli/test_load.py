import anyio
import pytest

from cqrsbus import Broker, Bus
from cqrsbus.cli.load import Load, Progress, Run, Verb, _Window

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("verb", ["publish", "send", "ask"])
async def test_all_is_done_and_counted(verb: Verb) -> None:
    seen: list[int] = []
    progress = Progress(lambda: seen.append(1))
    load = Load(verb, 100, publishers=2, subscribers=2, window=3, count=50, seconds=None, timeout=5)
    async with Broker("tcp://127.0.0.1:0") as broker:
        with anyio.fail_after(30):
            await Run(load, lambda name: Bus(name, broker.url), progress).go()
    assert progress.sent == 50
    assert progress.latencies.count == len(seen) == (100 if verb == "publish" else 50)
    assert progress.seconds > 0


async def test_the_window_lets_in_as_many_as_fit_and_wakes_all_who_wait() -> None:
    window, entered = _Window(2, timeout=30), list[int]()

    async def enter(number: int) -> None:
        await window.enter(1)
        entered.append(number)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(enter, number)
            await anyio.wait_all_tasks_blocked()
            assert len(entered) == 2
            window.leave()
            window.leave()
        window.leave()
        window.leave()
        await window.wait_empty()
    assert sorted(entered) == [0, 1, 2, 3]


async def test_what_is_lost_holds_nobody_up_for_ever() -> None:
    window = _Window(1, timeout=0.01)
    with anyio.fail_after(10):
        await window.enter(1)
        await window.enter(1)
        await window.wait_empty()
