"""nats-py as many use it: pydantic's own JSON at both ends, written by hand."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from nats.aio.msg import Msg

from benchmarks.message import FIND, STORED, Find, Stored
from benchmarks.systems.nats_bytes import EVENTS, QUERIES, NatsBytes, connected
from benchmarks.systems.port import Calls


class NatsTyped(NatsBytes):
    """Models in, models out."""

    @asynccontextmanager
    async def handling(self, url: str, handled: Callable[[], None], *, answers: bool) -> AsyncGenerator[None]:
        """One client with two subscriptions, which validate."""

        async def stored(message: Msg) -> None:
            Stored.model_validate_json(message.data)
            handled()

        async def find(message: Msg) -> None:
            Find.model_validate_json(message.data)
            await message.respond(b"true")

        async with connected(url) as client:
            await client.subscribe(EVENTS, cb=stored, pending_msgs_limit=0, pending_bytes_limit=0)
            if answers:
                await client.subscribe(QUERIES, cb=find)
            await client.flush()
            yield

    @asynccontextmanager
    async def calling(self, url: str) -> AsyncGenerator[Calls]:
        """One client, which writes JSON."""
        async with connected(url) as client:
            yield Calls(
                publish=lambda: client.publish(EVENTS, STORED.model_dump_json().encode()),
                flush=client.flush,
                ask=lambda: client.request(QUERIES, FIND.model_dump_json().encode(), timeout=30),
            )
