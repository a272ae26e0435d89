"""Which broker a test runs against."""

import anyio
import pytest

from cqrsbus import Broker, BrokerLimits, Bus, RoutingLimits
from cqrsbus.testing import TestBus

pytestmark = pytest.mark.anyio


async def test_one_in_this_process_unless_told_otherwise() -> None:
    with anyio.fail_after(5):
        async with TestBus(Bus("a")) as t:
            assert t.url.startswith("memory:")
            assert t.broker is not None
            assert t.broker.url == t.url


async def test_each_has_its_own() -> None:
    with anyio.fail_after(5):
        async with TestBus(Bus("a")) as one, TestBus(Bus("a")) as other:
            assert one.url != other.url


async def test_one_behind_a_socket() -> None:
    with anyio.fail_after(5):
        async with TestBus(Bus("a"), broker="tcp") as t:
            assert t.broker is not None
            assert t.url.startswith("tcp://127.0.0.1:")
            assert t.broker.connections == 1


async def test_one_that_runs_already() -> None:
    with anyio.fail_after(5):
        async with Broker("tcp://127.0.0.1:0") as broker, TestBus(Bus("a"), broker=broker.url) as t:
            assert (t.url, t.broker) == (broker.url, None)
            assert broker.connections == 1


async def test_the_variable_decides_where_the_test_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CQRSBUS_TEST_BROKER", "tcp")
    with anyio.fail_after(5):
        async with TestBus(Bus("a")) as t:
            assert t.url.startswith("tcp:")
        async with TestBus(Bus("a"), broker="memory") as t:
            assert t.url.startswith("memory:")


async def test_the_limits_are_those_of_a_real_broker_or_what_the_test_says(broker: str) -> None:
    small = BrokerLimits(routing=RoutingLimits(max_open_requests=2))
    with anyio.fail_after(5):
        async with TestBus(Bus("a"), broker=broker) as t:
            assert t.broker is not None
            assert t.broker.limits == BrokerLimits()
        async with TestBus(Bus("a"), broker=broker, limits=small) as t:
            assert t.broker is not None
            assert t.broker.limits is small


@pytest.mark.parametrize("choice", ["carrier-pigeon:", "redis"])
async def test_another_kind_of_broker_is_refused(choice: str) -> None:
    with anyio.fail_after(5), pytest.raises(ValueError, match="'memory', 'tcp' or a URL"):
        await TestBus(Bus("a"), broker=choice).__aenter__()


async def test_a_broker_that_runs_has_limits_of_its_own() -> None:
    test = TestBus(Bus("a"), broker="tcp://127.0.0.1:1", limits=BrokerLimits())
    with anyio.fail_after(5), pytest.raises(ValueError, match="limits of its own"):
        await test.__aenter__()
