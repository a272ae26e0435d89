"""How long a call may take: the tightest of all."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cqrsbus.bus.context import Context, current_context
from cqrsbus.bus.time_left import time_left

pytestmark = pytest.mark.anyio


async def test_nothing_limits_it() -> None:
    assert time_left(None) is None


@pytest.mark.parametrize("tightest", ["timeout", "scope", "message"])
async def test_the_tightest_counts(tightest: str) -> None:
    seconds = dict.fromkeys(("timeout", "scope", "message"), 2000.0) | {tightest: 1000.0}
    deadline = anyio.current_time() + seconds["message"]
    token = current_context.set(Context(message_id="m", topic="t", deadline=deadline))
    try:
        with anyio.CancelScope(deadline=anyio.current_time() + seconds["scope"]):
            await checkpoint()
            assert time_left(seconds["timeout"]) == pytest.approx(1000, abs=10)
    finally:
        current_context.reset(token)


async def test_what_is_over_is_not_negative() -> None:
    token = current_context.set(Context(message_id="m", topic="t", deadline=anyio.current_time() - 5))
    try:
        assert time_left(3) == 0.0
    finally:
        current_context.reset(token)


async def test_a_shielded_block_has_a_time_of_its_own() -> None:
    ctx = Context(message_id="m", topic="t", deadline=anyio.current_time() - 5)
    token = current_context.set(ctx)
    try:
        with anyio.CancelScope() as left_by_the_caller, ctx.shielded(1000):
            left_by_the_caller.cancel()
            await checkpoint()
            assert time_left(None) == pytest.approx(1000, abs=10)
            assert time_left(3) == pytest.approx(3)
        assert time_left(3) == 0.0
    finally:
        current_context.reset(token)


async def test_a_block_is_shielded_for_its_own_message_alone() -> None:
    with Context(message_id="m", topic="t").shielded(1000):
        # As in a worker that was started in the block.
        token = current_context.set(Context(message_id="other", topic="t", deadline=anyio.current_time() - 5))
        try:
            assert time_left(3) == 0.0
        finally:
            current_context.reset(token)
