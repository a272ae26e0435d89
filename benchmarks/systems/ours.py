"""cqrsbus: pydantic models at both ends, validated; its own broker between."""

import secrets
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager

from anyio.lowlevel import checkpoint

from benchmarks.message import FIND, STORE, STORED, Find, Store, Stored
from benchmarks.processes import server
from benchmarks.systems.port import Calls, Server
from cqrsbus import Bus


class Ours:
    """All its processes on one event loop.

    Args:
        backend: ``asyncio``, ``uvloop`` or ``trio``.
        options: More options for its broker.
    """

    def __init__(self, backend: str, *options: str) -> None:
        self.backend = backend
        self._options = options

    @contextmanager
    def server(self) -> Generator[Server]:
        """``cqrsbus broker``, with its defaults."""
        listen = ("--listen", "tcp://127.0.0.1:0", "--backend", self.backend, "--log-level", "warning")
        command = (sys.executable, "-m", "cqrsbus", "broker", *listen, *self._options)
        with server(command, until="listening on") as (process, line):
            yield Server(line.split()[-1], process.pid)

    @asynccontextmanager
    async def handling(self, url: str, handled: Callable[[], None], *, answers: bool) -> AsyncGenerator[None]:
        """A service of its own."""
        bus = Bus(f"handler-{secrets.token_hex(4)}", url)

        @bus.event_handler()
        async def stored(event: Stored) -> None:
            handled()

        if answers:
            _answer(bus)
        async with bus:
            yield

    @asynccontextmanager
    async def calling(self, url: str) -> AsyncGenerator[Calls]:
        """A bus that only calls."""
        async with Bus("caller", url) as bus:
            yield Calls(
                publish=lambda: bus.publish(STORED, timeout=None),
                flush=checkpoint,
                ask=lambda: bus.ask(FIND, timeout=30),
                send=lambda: bus.send(STORE, timeout=30),
            )


def _answer(bus: Bus) -> None:
    @bus.query_handler()
    async def find(query: Find) -> bool:
        return True

    @bus.command_handler()
    async def store(command: Store) -> None:
        """Nothing more: what is measured is the way."""
