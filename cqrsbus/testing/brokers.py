"""Which broker a test runs against: one in this process, one behind a socket, or one that is there already."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count
from typing import Final

from cqrsbus.broker.limits import BrokerLimits
from cqrsbus.broker.server import Broker
from cqrsbus.transports import parse_url

#: Says which broker tests run against, where the test does not.
VARIABLE: Final = "CQRSBUS_TEST_BROKER"

_numbers = count(1)


@asynccontextmanager
async def chosen_broker(choice: str | None, limits: BrokerLimits | None) -> AsyncGenerator[tuple[str, Broker | None]]:
    """Find or start a broker; gives its URL, and the broker if it is ours.

    Args:
        choice: ``memory``, ``tcp`` or the URL of one that runs; None: the variable's, then ``memory``.
        limits: What ours allows; None for the defaults.

    Raises:
        ValueError: The choice is none of these, or there are limits for a broker that is not ours.
    """
    choice = choice or os.environ.get(VARIABLE) or "memory"
    if choice in ("memory", "tcp"):
        url = "tcp://127.0.0.1:0" if choice == "tcp" else f"memory:cqrsbus-test-{next(_numbers)}"
        async with Broker(url, limits=limits) as broker:
            yield broker.url, broker
    else:
        _check(choice, limits)
        yield choice, None


def _check(url: str, limits: BrokerLimits | None) -> None:
    try:
        parse_url(url)
    except ValueError as error:
        raise ValueError(f"the broker of a test is 'memory', 'tcp' or a URL: {error}") from None
    if limits is not None:
        raise ValueError(f"the broker at {url} has limits of its own: give limits with 'memory' and 'tcp' only")
