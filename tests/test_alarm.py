"""An alarm wakes whoever sleeps by it, however many they are and whoever has left meanwhile."""

import math

import anyio
import pytest

from cqrsbus.alarm import Alarm

pytestmark = pytest.mark.anyio

FAR = 3600.0


class Sleeper:
    """Sleeps once and says so."""

    def __init__(self, alarm: Alarm) -> None:
        self._alarm = alarm
        self.scope = anyio.CancelScope()
        self.woke = anyio.Event()

    async def run(self, deadline: float | None = None) -> None:
        with self.scope:
            await self._alarm.sleep_until(deadline)
            self.woke.set()


async def test_it_sleeps_until_the_time() -> None:
    with anyio.fail_after(5):
        before = anyio.current_time()
        await Alarm().sleep_until(before + 0.02)
        assert anyio.current_time() >= before + 0.02


async def test_a_time_that_has_passed_lets_other_tasks_run_and_returns() -> None:
    with anyio.fail_after(5):
        alarm, other = Alarm(), anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_set, other)
            while not other.is_set():
                await alarm.sleep_until(anyio.current_time() - 1)


async def test_an_earlier_time_wakes_the_sleeper() -> None:
    with anyio.fail_after(5):
        alarm = Alarm()
        sleeper = Sleeper(alarm)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sleeper.run, anyio.current_time() + FAR)
            await anyio.wait_all_tasks_blocked()
            alarm.bring_forward(anyio.current_time())
            await sleeper.woke.wait()


async def test_a_later_time_or_none_does_not() -> None:
    with anyio.fail_after(5):
        alarm = Alarm()
        sleeper = Sleeper(alarm)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sleeper.run, anyio.current_time() + FAR)
            await anyio.wait_all_tasks_blocked()
            alarm.bring_forward(None)
            alarm.bring_forward(math.inf)
            alarm.bring_forward(anyio.current_time() + 2 * FAR)
            await anyio.wait_all_tasks_blocked()
            assert not sleeper.woke.is_set()
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("who_leaves", [0, 1])
async def test_of_two_sleepers_the_one_left_is_still_woken(who_leaves: int) -> None:
    with anyio.fail_after(5):
        alarm = Alarm()
        sleepers = [Sleeper(alarm), Sleeper(alarm)]
        async with anyio.create_task_group() as tasks:
            for sleeper in sleepers:
                tasks.start_soon(sleeper.run)
                await anyio.wait_all_tasks_blocked()
            sleepers[who_leaves].scope.cancel()
            await anyio.wait_all_tasks_blocked()
            alarm.bring_forward(anyio.current_time())
            await sleepers[1 - who_leaves].woke.wait()


async def _set(event: anyio.Event) -> None:
    event.set()
