"""The public calls, each with what makes it wait: one row each."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import anyio

from cqrsbus.bus.subscription import Subscription
from cqrsbus.links.broker_link import BrokerLink
from tests.integration.sweep.points import Call, turns, until
from tests.integration.sweep.world import STREAMED, World, hung_up

#: More turns than any call takes that need not wait for others.
A_WHILE = 7

Verb: TypeAlias = Callable[[World, int], Coroutine[Any, Any, None]]
Around: TypeAlias = Callable[[World], AbstractAsyncContextManager[None]]


class Row(NamedTuple):
    """One call under one circumstance.

    Args:
        verb: What is called, with a number of its own.
        around: The circumstance.
        at_least: Points it has, however it is cancelled and wherever it runs.
    """

    verb: Verb
    around: Around
    at_least: int

    def __str__(self) -> str:
        return "-".join(part.__name__.strip("_") for part in (self.verb, self.around))

    @asynccontextmanager
    async def prepare(self, world: World) -> AsyncGenerator[Call]:
        """Bring the circumstance about."""
        async with self.around(world):
            yield partial(self.verb, world, next(world.numbers))


# What is called.


async def _send(world: World, number: int) -> None:
    await world.caller.send("c", number)


async def _send_and_wait(world: World, number: int) -> None:
    await world.caller.send("c", number, wait=True)


async def _send_for_a_caller(world: World, number: int) -> None:
    await world.caller.send("c.given.up", number, wait=True)


async def _ask(world: World, number: int) -> None:
    assert await world.caller.ask("q", number) == number


async def _ask_one_that_asks(world: World, number: int) -> None:
    assert await world.caller.ask("q.nested", number) == number


async def _ask_the_gated(world: World, number: int) -> None:
    assert await world.caller.ask("q.gated", number) == number


async def _publish(world: World, number: int) -> None:
    await world.caller.publish("e", number)


async def _publish_many(world: World, number: int) -> None:
    for each in range(70):
        await world.caller.publish("nobody", each)


async def _subscribe(world: World, number: int) -> None:
    async with world.caller.subscribe("s", int) as numbers:
        await world.service.publish("s", number)
        assert await anext(numbers) == number


async def _subscribe_in_a_group(world: World, number: int) -> None:
    async with world.caller.subscribe("s", int, group="g") as numbers:
        await world.service.publish("s", number)
        await world.service.publish("s", number + 1)
        assert await anext(numbers) == number


async def _stream(world: World, number: int) -> None:
    # Less credit than answers: the handler has to wait for it.
    async with world.caller.stream("q.stream", number, returns=int, credit=2) as numbers:
        assert [each async for each in numbers] == list(range(STREAMED))


async def _stream_and_leave(world: World, number: int) -> None:
    async with world.caller.stream("q.stream", number, returns=int, credit=2) as numbers:
        assert await anext(numbers) == 0


async def _gather(world: World, number: int) -> None:
    async with world.caller.gather("q.everywhere", number, returns=int) as numbers:
        assert [each async for each in numbers] == [number, number]


async def _gather_a_quorum(world: World, number: int) -> None:
    async with world.caller.gather("q.everywhere", number, returns=int, quorum=1) as numbers:
        assert [each async for each in numbers] == [number]


async def _ask_one_with_children(world: World, number: int) -> None:
    assert await world.caller.ask("q.with.children", number) == number


async def _check(world: World, number: int) -> None:
    assert await world.service.check() == []


async def _wait_connected(world: World, number: int) -> None:
    await world.caller.wait_connected()


# What makes it wait.


@asynccontextmanager
async def _at_once(world: World) -> AsyncGenerator[None]:
    yield


@asynccontextmanager
async def _behind_others(world: World) -> AsyncGenerator[None]:
    """The handler is busy; others are in its queue and, beyond its credit, in the broker's."""
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(world.caller.ask, "q.gated", next(world.numbers))
        await until(lambda: world.router.open_requests == 5, "five have asked")
        tasks.start_soon(_open_gate_again_and_again, world)
        yield
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def _without_a_place(world: World) -> AsyncGenerator[None]:
    """As many calls are open as may be."""
    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(world.caller.ask, "q.gated", next(world.numbers))
        await until(lambda: world.router.open_requests == 6, "six have asked")
        tasks.start_soon(_open_gate_again_and_again, world)
        yield
        tasks.cancel_scope.cancel()


async def _open_gate_again_and_again(world: World) -> None:
    while True:
        await turns(A_WHILE)
        world.open_gate()


@asynccontextmanager
async def _without_a_connection(world: World) -> AsyncGenerator[None]:
    async with hung_up(world) as may_return, anyio.create_task_group() as tasks:
        tasks.start_soon(_set_later, may_return)
        yield
        tasks.cancel_scope.cancel()


async def _set_later(event: anyio.Event) -> None:
    await turns(A_WHILE)
    event.set()


@asynccontextmanager
async def _with_a_full_window(world: World) -> AsyncGenerator[None]:
    """A subscriber takes nothing of what the caller publishes, until later."""
    link = world.caller._link
    assert isinstance(link, BrokerLink)
    async with world.service.subscribe("full", bytes) as slow, anyio.create_task_group() as tasks:
        for _ in range(100):
            await link.flush()
            if not link._window.is_open:
                break
            await world.caller.publish("full", bytes(1000))
        assert not link._window.is_open
        tasks.start_soon(_take_later, slow)
        yield
        tasks.cancel_scope.cancel()


async def _take_later(messages: Subscription[bytes]) -> None:
    await turns(A_WHILE)
    async for _ in messages:
        pass


CALLS = (
    Row(_send, _at_once, 2),
    Row(_send_and_wait, _at_once, 5),
    Row(_send_for_a_caller, _at_once, 4),
    Row(_ask, _at_once, 4),
    Row(_ask_one_that_asks, _at_once, 8),
    Row(_ask_one_with_children, _at_once, 7),
    Row(_stream, _at_once, 13),
    Row(_stream_and_leave, _at_once, 4),
    Row(_gather, _at_once, 4),
    Row(_gather_a_quorum, _at_once, 4),
    Row(_ask_the_gated, _behind_others, 37),
    Row(_publish_many, _at_once, 1),
    Row(_publish, _with_a_full_window, 15),
    Row(_subscribe, _at_once, 8),
    Row(_subscribe_in_a_group, _at_once, 8),
    Row(_ask, _without_a_place, 16),
    Row(_send, _without_a_place, 13),
    Row(_stream, _without_a_place, 24),
    Row(_gather, _without_a_place, 16),
    Row(_check, _at_once, 4),
    Row(_send, _without_a_connection, 12),
    Row(_ask, _without_a_connection, 15),
    Row(_stream, _without_a_connection, 24),
    Row(_gather, _without_a_connection, 15),
    Row(_publish, _without_a_connection, 11),
    Row(_subscribe, _without_a_connection, 17),
    Row(_wait_connected, _without_a_connection, 9),
)
