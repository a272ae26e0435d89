"""Exchanges are found by name, live as long as somebody uses them, and belong to one event loop."""

import anyio
import pytest

from cqrsbus import Broker, Bus, ListenError
from cqrsbus.broker.embedded import join, leave, offer
from cqrsbus.broker.exchange import Exchange

pytestmark = pytest.mark.anyio


async def test_a_name_is_shared_as_long_as_somebody_uses_it() -> None:
    first, second, other = join("n"), join("n"), join("other")
    assert first is second
    assert other is not first
    leave("n", first)
    assert join("n") is first
    for _ in range(2):
        leave("n", first)
    later = join("n")
    assert later is not first
    leave("n", later)
    leave("other", other)


async def test_who_leaves_late_does_not_take_the_new_one_along() -> None:
    exchange = join("n")
    with offer("n", Exchange()):
        leave("n", exchange)
        assert join("n") is not exchange


async def test_no_name_is_shared_with_nobody() -> None:
    assert join("") is not join("")


async def test_a_broker_offers_its_own_exchange_as_long_as_it_runs() -> None:
    exchange = Exchange()
    with offer("n", exchange):
        assert join("n") is exchange
        with pytest.raises(ListenError, match="memory:n: a live broker"), offer("n", Exchange()):
            raise AssertionError("it cannot be offered twice")
    with offer("n", Exchange()) as _:
        assert join("n") is not exchange


async def test_event_loops_do_not_meet() -> None:
    def elsewhere() -> Exchange:
        async def find() -> Exchange:
            return join("n")

        return anyio.run(find)

    assert await anyio.to_thread.run_sync(elsewhere) is not join("n")


async def test_buses_follow_a_broker_that_comes_goes_and_comes_again() -> None:
    service = Bus("service", "memory:here")

    @service.query_handler("double")
    async def double(number: int) -> int:
        return 2 * number

    async def works() -> None:
        """Until the news is there a call can still meet the connection that is about to end."""
        await service.wait_connected()
        assert await caller.ask("double", 21, returns=int) == 42

    with anyio.fail_after(20):
        async with service, Bus("caller", "memory:here") as caller:
            await works()
            for _ in range(2):
                async with Broker("memory:here") as broker:
                    while broker.counters.replied == 0:
                        await _connected_to(broker, service, caller)
                        await works()


async def _connected_to(broker: Broker, *buses: Bus) -> None:
    """Wait until the buses have found the broker: it counts who subscribes, asks, ..."""
    for bus in buses:
        while True:
            async with bus.subscribe("probe", int) as probe:
                published = broker.counters.published
                await bus.publish("probe", 1)
                with anyio.move_on_after(1):
                    await anext(aiter(probe))
                if broker.counters.published > published:
                    break
