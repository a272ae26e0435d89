"""FastStream on NATS: typed handlers, its logging switched off (``logger=None``), the limits of nats-py lifted."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

from faststream.nats import NatsBroker

from benchmarks.message import FIND, STORED, Find, Stored
from benchmarks.systems.nats_bytes import EVENTS, QUERIES, nats_server
from benchmarks.systems.port import Calls, Server


class FastStreamNats:
    """Models in, models out."""

    backend = "uvloop"

    @contextmanager
    def server(self) -> Generator[Server]:
        """One nats-server with its defaults."""
        with nats_server() as running:
            yield running

    @asynccontextmanager
    async def handling(self, url: str, handled: Callable[[], None], *, answers: bool) -> AsyncGenerator[None]:
        """One broker object with two handlers."""
        broker = NatsBroker(url, logger=None)

        @broker.subscriber(EVENTS, pending_msgs_limit=0, pending_bytes_limit=0)
        async def stored(event: Stored) -> None:
            handled()

        @broker.subscriber(QUERIES)
        async def find(query: Find) -> bool:
            return True

        async with broker:
            await broker.start()
            yield

    @asynccontextmanager
    async def calling(self, url: str) -> AsyncGenerator[Calls]:
        """One broker object."""
        async with NatsBroker(url, logger=None) as broker:
            await broker.start()
            yield Calls(
                publish=partial(broker.publish, STORED, EVENTS),
                flush=partial(broker.ping, timeout=30),
                ask=partial(broker.request, FIND, QUERIES, timeout=30),
            )
