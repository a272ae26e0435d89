"""The load that ``cqrsbus bench`` puts on a broker.

The rules:

1. Its topic is a random one, so that it disturbs nobody and nobody disturbs it.
2. Never more is in flight than the window says, also of events: what is measured is the way, not the queue before it.
3. An event that does not come within the timeout is lost, and is counted as such; a call that fails ends the whole.
"""

import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal

import anyio

from cqrsbus.bus.bus import Bus
from cqrsbus.cli.histogram import Histogram
from cqrsbus.cli.running import entered

Verb = Literal["publish", "send", "ask"]
#: The time at which it left is in each message.
LEAST_SIZE: Final = 8


@dataclass(frozen=True)
class Load:
    """What is to be done.

    Args:
        verb: How each message is sent.
        size: Bytes of a message.
        publishers: Connections that send.
        subscribers: Connections that listen: each gets every event; of commands and queries one gets each.
        window: Messages in flight per publisher.
        count: Messages in all; None: as many as the time allows.
        seconds: How long to go on; None: until the count is done.
        timeout: Seconds that a message may take.
    """

    verb: Verb
    size: int
    publishers: int
    subscribers: int
    window: int
    count: int | None
    seconds: float | None
    timeout: float


class Progress:
    """What has been done so far.

    Args:
        tell: Called after each message that was done.
    """

    def __init__(self, tell: Callable[[], object] = lambda: None) -> None:
        self.latencies = Histogram()
        self.sent = 0
        self.seconds = 0.0
        self._tell = tell

    def done(self, seconds: float) -> None:
        """One more has been answered, or handled."""
        self.latencies.add(seconds)
        self._tell()


class Run:
    """One load on one broker."""

    def __init__(self, load: Load, make_bus: Callable[[str], Bus], progress: Progress) -> None:
        self._load = load
        self._make_bus = make_bus
        self._progress = progress
        self._topic = f"bench.{secrets.token_hex(8)}"
        self._padding = bytes(max(0, load.size - LEAST_SIZE))
        self._window = _Window(load.publishers * load.window * load.subscribers, load.timeout)
        self._until = float("inf")

    async def go(self) -> None:
        """Connect everybody, then send until all is done."""
        async with self._connected() as publishers:
            began = time.perf_counter()
            if self._load.seconds is not None:
                self._until = began + self._load.seconds
            try:
                await self._all(publishers)
            except ExceptionGroup as group:
                # Where one fails the others soon do, or are cancelled: the first says why.
                raise group.exceptions[0] from None
            await self._window.wait_empty()
            self._progress.seconds = time.perf_counter() - began

    async def _all(self, publishers: list[Bus]) -> None:
        async with anyio.create_task_group() as callers:
            for bus in publishers:
                for _ in range(1 if self._load.verb == "publish" else self._load.window):
                    callers.start_soon(self._send_all, bus)

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[list[Bus]]:
        service = f"bench-{secrets.token_hex(4)}"
        publishers = [self._make_bus("") for _ in range(self._load.publishers)]
        async with AsyncExitStack() as stack:
            for _ in range(self._load.subscribers):
                await stack.enter_async_context(entered(self._handled_by(self._make_bus(service))))
            for bus in publishers:
                await stack.enter_async_context(entered(bus))
            yield publishers

    def _handled_by(self, bus: Bus) -> Bus:
        if self._load.verb == "publish":
            bus.event_handler(self._topic)(self._take_event)
        elif self._load.verb == "send":
            bus.command_handler(self._topic, concurrency=self._load.window)(_take_command)
        else:
            bus.query_handler(self._topic)(_answer)
        return bus

    async def _take_event(self, message: bytes) -> None:
        self._window.leave()
        self._progress.done(_since(message))

    async def _send_all(self, bus: Bus) -> None:
        while self._progress.sent != self._load.count and time.perf_counter() < self._until:
            self._progress.sent += 1
            if self._load.verb == "publish":
                await self._window.enter(self._load.subscribers)
                await bus.publish(self._topic, self._message(), timeout=self._load.timeout)
                continue
            message = self._message()
            if self._load.verb == "send":
                await bus.send(self._topic, message, timeout=self._load.timeout)
            else:
                await bus.ask(self._topic, message, timeout=self._load.timeout)
            self._progress.done(_since(message))

    def _message(self) -> bytes:
        return time.perf_counter_ns().to_bytes(LEAST_SIZE, "big") + self._padding


async def _take_command(message: bytes) -> None:
    """What is measured is the way."""


async def _answer(message: bytes) -> bool:
    return True


def _since(message: bytes) -> float:
    return (time.perf_counter_ns() - int.from_bytes(message[:LEAST_SIZE], "big")) / 1e9


class _Window:
    """How many deliveries may be under way."""

    def __init__(self, size: int, timeout: float) -> None:
        self._size = size
        self._timeout = timeout
        self._under_way = 0
        self._waiting = False
        self._changed = anyio.Event()

    async def enter(self, deliveries: int) -> None:
        """Wait for room; after the timeout those that are under way count as lost."""
        while self._under_way + deliveries > self._size:
            if not await self._change():
                self._under_way = 0
        self._under_way += deliveries

    def leave(self) -> None:
        """One has arrived."""
        self._under_way = max(0, self._under_way - 1)
        if self._waiting:
            self._changed.set()
            self._changed, self._waiting = anyio.Event(), False

    async def wait_empty(self) -> None:
        """Wait until all have arrived, or none has for the time of the timeout."""
        while self._under_way and await self._change():
            pass

    async def _change(self) -> bool:
        self._waiting = True
        with anyio.move_on_after(self._timeout):
            await self._changed.wait()
            return True
        return False
