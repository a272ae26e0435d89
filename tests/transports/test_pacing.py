"""An operation that need not wait is a checkpoint nevertheless."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cqrsbus.transports.pacing import OPERATIONS_PER_TURN, Pace

pytestmark = pytest.mark.anyio


async def turns_of_another_task(pace: Pace, steps: int, *, waited: bool = False) -> int:
    turns = taken = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        await checkpoint()
        before = turns
        for _ in range(steps):
            await pace.step()
            if waited:
                pace.waited()
        taken = turns - before
        tasks.cancel_scope.cancel()
    return taken


async def test_others_get_one_turn_for_so_many_steps() -> None:
    assert await turns_of_another_task(Pace(), OPERATIONS_PER_TURN - 1) == 0
    # Which of two tasks goes first in a turn is chance on trio, hence one more or less.
    assert 9 <= await turns_of_another_task(Pace(), 10 * OPERATIONS_PER_TURN) <= 11


async def test_a_wait_counts_as_a_turn() -> None:
    assert await turns_of_another_task(Pace(), 3 * OPERATIONS_PER_TURN, waited=True) == 0


async def test_every_step_notices_a_cancellation() -> None:
    pace = Pace()
    for _ in range(2 * OPERATIONS_PER_TURN):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await pace.step()
        assert scope.cancelled_caught
