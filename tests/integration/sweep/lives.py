"""What is entered and left, or run until it is told to stop: one row each."""

from collections.abc import Awaitable, Callable, Coroutine
from itertools import count
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeAlias

import anyio
from anyio.abc import TaskStatus
from anyio.lowlevel import checkpoint

from cqrsbus import Broker, BrokerLimits, Bus, Query
from tests.integration.sweep.points import turns

#: More turns than it takes to be in full swing.
A_WHILE = 25

_names = count(1)


class Life(NamedTuple):
    """Something that lives.

    Args:
        live: Enters and leaves it; is given the URL of a broker.
        at_least: Points it has, however it is cancelled and wherever it runs.
    """

    live: Callable[[str], Coroutine[Any, Any, None]]
    at_least: int

    def __str__(self) -> str:
        return self.live.__name__.strip("_")


class Asked(Query[int], topic="guest.asked"):
    """What a bus requires."""


async def _bus(url: str) -> None:
    bus = Bus("guest", url)

    @bus.event_handler("e")
    async def listen(number: int) -> None: ...

    async with bus, bus.subscribe("e", int) as numbers:
        await bus.publish("e", 1)
        await anext(numbers)


async def _bus_that_waits_for_what_it_requires(url: str) -> None:
    bus, service = Bus("guest", url, requires=[Asked], check="wait"), Bus("other", url)

    @service.query_handler()
    async def answer(query: Asked) -> int:
        return 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_come_later, service)
        async with bus:
            assert await bus.ask(Asked()) == 1
        tasks.cancel_scope.cancel()


async def _come_later(bus: Bus) -> None:
    await turns(A_WHILE)
    async with bus:
        await anyio.sleep_forever()


async def _bus_that_drains(url: str) -> None:
    bus, gate = Bus("guest", url), anyio.Event()

    @bus.command_handler("c")
    async def do(number: int) -> None:
        await gate.wait()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_set_later, gate)
        async with bus:
            await bus.send("c", 1)


async def _bus_that_runs(url: str) -> None:
    bus = Bus("guest", url)

    @bus.event_handler("e")
    async def listen(number: int) -> None: ...

    await _for_a_while(bus.run)


async def _bus_that_finds_nobody(url: str) -> None:
    await _for_a_while(Bus("guest", "tcp://127.0.0.1:1").run)


async def _broker(url: str) -> None:
    with TemporaryDirectory() as folder:
        urls = ("tcp://127.0.0.1:0", f"unix://{folder}/s", f"memory:life-{next(_names)}")
        async with Broker(*urls) as broker:
            for each in broker.urls:
                async with Bus("guest", each) as bus:
                    await bus.publish("e", 1)


async def _broker_that_drains(url: str) -> None:
    async with anyio.create_task_group() as tasks:
        async with Broker("tcp://127.0.0.1:0", f"memory:life-{next(_names)}") as broker:
            await tasks.start(_in_the_middle_of_a_query, *broker.urls)
        tasks.cancel_scope.cancel()


async def _broker_that_runs(url: str) -> None:
    await _for_a_while(Broker("tcp://127.0.0.1:0", limits=BrokerLimits(drain_timeout=1)).run)


async def _in_the_middle_of_a_query(url: str, other_url: str, *, task_status: TaskStatus[None]) -> None:
    service, gate = Bus("guest", url), anyio.Event()

    @service.query_handler("q")
    async def answer(number: int) -> int:
        task_status.started()
        await turns(A_WHILE)
        gate.set()
        return number

    async with service, Bus("caller", other_url) as caller:
        await caller.ask("q", 1)
        await gate.wait()


async def _set_later(event: anyio.Event) -> None:
    await turns(A_WHILE)
    event.set()


Run: TypeAlias = Callable[[], Awaitable[None]]


async def _for_a_while(run: Run) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_cancel_later, tasks.cancel_scope)
        await run()


async def _cancel_later(scope: anyio.CancelScope) -> None:
    await turns(A_WHILE)
    scope.cancel()
    await checkpoint()


LIVES = (
    Life(_bus, 28),
    Life(_bus_that_waits_for_what_it_requires, 40),
    Life(_bus_that_drains, 39),
    Life(_bus_that_runs, 35),
    Life(_bus_that_finds_nobody, 29),
    Life(_broker, 64),
    Life(_broker_that_drains, 52),
    Life(_broker_that_runs, 29),
)
