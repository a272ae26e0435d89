"""A waiter is woken once, and a cancellation neither hangs it nor takes away what it was told."""

import anyio
import pytest

from cqrsbus.waiter import Waiter, waiters

pytestmark = pytest.mark.anyio


class Waiting:
    """One task that waits, and how that ended."""

    def __init__(self) -> None:
        self.waiter: Waiter | None = None
        self.scope = anyio.CancelScope()
        self.told = ""
        self.ended = ""

    async def run(self) -> None:
        with self.scope:
            self.waiter = waiters()()
            try:
                await self.waiter.wait()
                self.ended = f"woken: {self.told}"
            except anyio.get_cancelled_exc_class():
                self.ended = "cancelled"
                raise

    def wake(self) -> None:
        assert self.waiter is not None
        self.told = "news"
        self.waiter.wake()


async def test_it_waits_until_it_is_woken() -> None:
    waiting = Waiting()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waiting.run)
            await anyio.wait_all_tasks_blocked()
            assert not waiting.ended
            waiting.wake()
            waiting.wake()
            assert not waiting.ended
    assert waiting.ended == "woken: news"
    waiting.wake()


async def test_a_cancellation_ends_it() -> None:
    waiting = Waiting()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waiting.run)
            await anyio.wait_all_tasks_blocked()
            waiting.scope.cancel()
    assert waiting.ended == "cancelled"
    # Whoever wanted to wake it does not know that.
    waiting.wake()


async def test_one_that_was_cancelled_before_it_waited_ends_too() -> None:
    waiting = Waiting()
    waiting.scope.cancel()
    with anyio.fail_after(5):
        await waiting.run()
    assert waiting.ended == "cancelled"


async def test_who_is_woken_and_then_cancelled_learns_what_it_was_woken_for() -> None:
    waiting = Waiting()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waiting.run)
            await anyio.wait_all_tasks_blocked()
            waiting.wake()
            waiting.scope.cancel()
    assert waiting.ended == "woken: news"


async def test_who_is_cancelled_and_then_woken_ends_either_way() -> None:
    waiting = Waiting()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waiting.run)
            await anyio.wait_all_tasks_blocked()
            waiting.scope.cancel()
            waiting.wake()
    assert waiting.ended in ("cancelled", "woken: news")


async def test_a_deadline_ends_it() -> None:
    with anyio.fail_after(5), anyio.move_on_after(0.01) as scope:
        await waiters()().wait()
    assert scope.cancelled_caught
