"""pyzmq: raw bytes through its own proxy, a broker written in C++ that does nothing but forward.

Its high-water marks are lifted, else its PUB sockets drop what is over them.
"""

import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager

import anyio
import zmq
import zmq.asyncio
from anyio.lowlevel import checkpoint

from benchmarks.message import BODY
from benchmarks.processes import server
from benchmarks.systems.port import Calls, Server

_TOPIC = b"bench.stored"
# Asks go through a second proxy, which has the next port.
_SETTLE = 0.3


class ZmqProxy:
    """XSUB to XPUB."""

    backend = "uvloop"

    @contextmanager
    def server(self) -> Generator[Server]:
        """This module as a program: the proxy."""
        with server((sys.executable, "-m", "benchmarks.systems.zmq_proxy"), until="ready") as (process, line):
            yield Server(line.partition(" ")[2], process.pid)

    @asynccontextmanager
    async def handling(self, url: str, handled: Callable[[], None], *, answers: bool) -> AsyncGenerator[None]:
        """A SUB socket."""
        _, back = url.split()
        with zmq.asyncio.Context() as context, context.socket(zmq.SUB) as subscriber:
            subscriber.setsockopt(zmq.RCVHWM, 0)
            subscriber.connect(back)
            subscriber.subscribe(_TOPIC)

            async def receive() -> None:
                while True:
                    await subscriber.recv_multipart()
                    handled()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(receive)
                await anyio.sleep(_SETTLE)  # it has no confirmation of a subscription
                yield
                tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def calling(self, url: str) -> AsyncGenerator[Calls]:
        """A PUB socket."""
        front, _ = url.split()
        with zmq.asyncio.Context() as context, context.socket(zmq.PUB) as publisher:
            publisher.setsockopt(zmq.SNDHWM, 0)
            publisher.connect(front)
            await anyio.sleep(_SETTLE)

            async def publish() -> None:
                await publisher.send_multipart((_TOPIC, BODY))

            yield Calls(publish=publish, flush=checkpoint)


def main() -> None:
    """Forward from the one port to the other until ended."""
    with zmq.Context() as context, context.socket(zmq.XSUB) as front, context.socket(zmq.XPUB) as back:
        front.setsockopt(zmq.RCVHWM, 0)
        back.setsockopt(zmq.SNDHWM, 0)
        ports = [each.bind_to_random_port("tcp://127.0.0.1") for each in (front, back)]
        print("ready", *(f"tcp://127.0.0.1:{port}" for port in ports), flush=True)
        zmq.proxy(front, back)


if __name__ == "__main__":
    main()
