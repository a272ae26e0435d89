"""A running broker behind every kind of URL, and helpers that wait for events instead of time."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import pytest

from cqrsbus import Broker, BrokerLimits

_names = count(1)

#: How a bus can reach its broker: over sockets, or inside the process with and without a Broker.
PLACES = ("tcp", "unix", "memory", "memory-broker")


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> str:
    """Each kind of URL in turn."""
    kind: str = request.param
    return kind


@pytest.fixture(params=["tcp", "unix"])
def listen_url(request: pytest.FixtureRequest, tcp_url: str, tmp_path: Path) -> str:
    """A URL for a broker to listen on, of each kind of socket in turn."""
    return tcp_url if request.param == "tcp" else f"unix://{tmp_path}/s"


@pytest.fixture
def limits() -> BrokerLimits:
    """What the broker allows; a module may override this."""
    return BrokerLimits(drain_timeout=1.0)


@pytest.fixture
async def url(place: str, limits: BrokerLimits, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a running broker."""
    name = f"memory:integration-{next(_names)}"
    wanted = {"tcp": "tcp://127.0.0.1:0", "unix": f"unix://{tmp_path}/s", "memory-broker": name}
    async with AsyncExitStack() as stack:
        if place not in wanted:
            yield name
            return
        broker = await stack.enter_async_context(Broker(wanted[place], limits=limits))
        yield broker.url


@pytest.fixture
async def broker(limits: BrokerLimits) -> AsyncIterator[Broker]:
    """A running broker on a TCP port."""
    async with Broker("tcp://127.0.0.1:0", limits=limits) as running:
        yield running
