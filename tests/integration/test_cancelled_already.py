"""Who is cancelled already says nothing to the broker."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from cqrsbus import Broker, Bus, NoHandlerError

pytestmark = pytest.mark.anyio

CALLS: dict[str, Callable[[Bus], Awaitable[object]]] = {
    "ask": lambda bus: bus.ask("a", timeout=None),
    "ask in time": lambda bus: bus.ask("a", timeout=3),
    "send": lambda bus: bus.send("b", timeout=None),
    "send and wait": lambda bus: bus.send("b", wait=True, timeout=3),
}


each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@each_call
async def test_a_cancelled_caller_sends_nothing(broker: Broker, call: Callable[[Bus], Awaitable[object]]) -> None:
    with anyio.fail_after(5):
        async with Bus("guest", broker.url) as bus:
            with anyio.CancelScope() as scope:
                scope.cancel()
                # What was cancelled further out counts as well.
                with anyio.CancelScope():
                    await call(bus)
            assert scope.cancelled_caught
    assert (broker.counters.asked, broker.counters.sent) == (0, 0)


@each_call
async def test_who_is_shielded_is_not_cancelled(broker: Broker, call: Callable[[Bus], Awaitable[object]]) -> None:
    with anyio.fail_after(5):
        async with Bus("guest", broker.url) as bus:
            with anyio.CancelScope() as scope:
                scope.cancel()
                with anyio.CancelScope(shield=True), pytest.raises(NoHandlerError):
                    await call(bus)
    assert broker.counters.asked + broker.counters.sent == 1
