"""A running broker, with limits that a test may choose."""

from collections.abc import AsyncIterator

import pytest

from cqrsbus import Broker, BrokerLimits


@pytest.fixture
def limits() -> BrokerLimits:
    """What the broker allows; override by parametrising."""
    return BrokerLimits(drain_timeout=0.1)


@pytest.fixture
async def broker(limits: BrokerLimits) -> AsyncIterator[Broker]:
    """A running broker on a TCP port."""
    async with Broker("tcp://127.0.0.1:0", limits=limits) as running:
        yield running


@pytest.fixture(autouse=True)
def short_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that do not hang up are waited for less long than in earnest."""
    monkeypatch.setattr("cqrsbus.broker.session.LAST_WORDS", 0.1)
    monkeypatch.setattr("cqrsbus.broker.server.LAST_WORDS", 0.1)
