"""aio-pika with RabbitMQ: raw bytes, a fanout exchange, transient messages without acknowledgements.

RabbitMQ is a service of the machine: it is measured where ``CQRSBUS_BENCH_AMQP`` says a running one is.
"""

import os
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage
from anyio.lowlevel import checkpoint

from benchmarks.message import BODY
from benchmarks.systems.port import Calls, Server

_EXCHANGE = "bench.stored"


class RabbitMq:
    """Bytes in, bytes out."""

    backend = "uvloop"

    @contextmanager
    def server(self) -> Generator[Server]:
        """The one that runs already."""
        url = os.environ["CQRSBUS_BENCH_AMQP"]
        assert urlsplit(url).hostname in {"127.0.0.1", "localhost"}
        yield Server(url, int(Path(os.environ["CQRSBUS_BENCH_AMQP_PIDFILE"]).read_text()))

    @asynccontextmanager
    async def handling(self, url: str, handled: Callable[[], None], *, answers: bool) -> AsyncGenerator[None]:
        """One exclusive queue."""

        async def stored(message: AbstractIncomingMessage) -> None:
            handled()

        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            exchange = await channel.declare_exchange(_EXCHANGE, aio_pika.ExchangeType.FANOUT, auto_delete=True)
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind(exchange)
            await queue.consume(stored, no_ack=True)
            yield

    @asynccontextmanager
    async def calling(self, url: str) -> AsyncGenerator[Calls]:
        """One channel without confirms."""
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel(publisher_confirms=False)
            exchange = await channel.get_exchange(_EXCHANGE)
            yield Calls(
                publish=partial(_publish, exchange),
                flush=checkpoint,
            )


async def _publish(exchange: AbstractExchange) -> None:
    await exchange.publish(aio_pika.Message(BODY), routing_key="")
