"""idle() returns when nothing is in flight, and not before."""

import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, TypeAlias

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cqrsbus import BrokerLimits, Bus, RoutingLimits
from cqrsbus.testing import TestBus
from cqrsbus.testing.quiet import Open, wait_quiet

pytestmark = pytest.mark.anyio

SERVICES = 3
DEPTH = 4
VERBS = ("event", "event", "shared", "command", "wait", "query")

#: What a message sets off, one after the other: the verb, the service, and what that message sets off.
Tree: TypeAlias = list[Any]


class System:
    """Services whose handlers set off others, in a shape that a seed gives.

    Handlers take only what is one step less deep than they are, so that none can wait for itself.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.planned = self.handled = 0
        self.buses = [Bus(f"service-{number}") for number in range(SERVICES)]
        for number, bus in enumerate(self.buses):
            for depth in range(DEPTH):
                self.declare(bus, number, depth)

    def declare(self, bus: Bus, number: int, depth: int) -> None:
        async def handle(tree: Tree) -> None:
            for _ in range(self.random.randint(0, 3)):
                await checkpoint()
            await self.set_off(bus, tree, depth - 1)
            self.handled += 1

        async def answer(tree: Tree) -> int:
            await handle(tree)
            return number

        bus.event_handler(f"event.{number}.{depth}", concurrency=3)(handle)
        bus.event_handler(f"shared.*.{depth}", group="all")(handle)
        bus.command_handler(f"command.{number}.{depth}")(handle)
        bus.query_handler(f"query.{number}.{depth}")(answer)

    def plan(self, width: int, depth: int = DEPTH) -> Tree:
        """Make up what is to be done."""
        steps = [self.step(depth - 1) for _ in range(width)] if depth else []
        self.planned += len(steps)
        return steps

    def step(self, depth: int) -> tuple[str, int, Tree]:
        after = self.plan(self.random.randint(0, 3), depth)
        return self.random.choice(VERBS), self.random.randrange(SERVICES), after

    async def set_off(self, bus: Bus, tree: Tree, depth: int) -> None:
        for verb, service, after in tree:
            where = f"{service}.{depth}"
            match verb:
                case "query":
                    await bus.ask(f"query.{where}", after, timeout=None)
                case "wait" | "command":
                    await bus.send(f"command.{where}", after, timeout=None, wait=verb == "wait")
                case _:
                    await bus.publish(f"{verb}.{where}", after, timeout=None)


@pytest.fixture(scope="module")
def broker_process() -> Iterator[str]:
    """The URL of a broker that shares nothing with us."""
    command = [sys.executable, "-m", "cqrsbus", "broker", "--listen", "tcp://127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().removeprefix("listening on ").strip()
        finally:
            process.terminate()


@pytest.mark.parametrize("seed", range(8))
async def test_everything_that_was_set_off_has_been_handled(seed: int, broker: str) -> None:
    system = System(seed)
    with anyio.fail_after(20):
        async with TestBus(*system.buses, broker=broker) as t:
            for _ in range(3):
                for bus in system.buses:
                    await system.set_off(bus, system.plan(5), DEPTH - 1)
                await t.idle()
                assert system.handled == system.planned
            assert system.planned > 50


async def test_with_a_broker_in_a_process_of_its_own(broker_process: str) -> None:
    system = System(7)
    with anyio.fail_after(20):
        async with TestBus(*system.buses, broker=broker_process) as t:
            for _ in range(5):
                for bus in reversed(system.buses):
                    await system.set_off(bus, system.plan(4), DEPTH - 1)
                await t.idle()
                assert system.handled == system.planned


async def test_what_other_tasks_set_off_too(broker: str) -> None:
    system = System(99)
    with anyio.fail_after(20):
        async with TestBus(*system.buses, broker=broker) as t, anyio.create_task_group() as tasks:
            for bus in system.buses:
                tasks.start_soon(system.set_off, bus, system.plan(8), DEPTH - 1)
            await anyio.wait_all_tasks_blocked()
            await t.idle()
            assert system.handled == system.planned


async def test_more_than_the_credit_and_the_window_allow(broker: str) -> None:
    handled: list[int] = []
    source, sink = Bus("source"), Bus("sink")

    @sink.event_handler("number")
    async def take(number: int) -> None:
        await checkpoint()
        handled.append(number)

    limits = BrokerLimits(routing=RoutingLimits(publish_window=4096))
    with anyio.fail_after(20):
        async with TestBus(source, sink, broker=broker, limits=limits) as t:
            for number in range(500):
                await source.publish("number", number)
            await t.idle()
            assert handled == list(range(500))


async def test_nothing_to_wait_for(broker: str) -> None:
    with anyio.fail_after(5):
        async with TestBus(Bus("a"), broker=broker) as t:
            await t.idle()
            await t.idle()


async def test_a_handler_that_hangs_is_waited_for(broker: str) -> None:
    bus, release = Bus("a"), anyio.Event()

    @bus.event_handler("hang")
    async def hang(_: None) -> None:
        await release.wait()

    with anyio.fail_after(5):
        async with TestBus(bus, broker=broker) as t:
            await bus.publish("hang", None)
            with anyio.move_on_after(0.05) as scope:
                await t.idle()
            assert scope.cancelled_caught
            release.set()
            await t.idle()


async def test_a_sync_handler_is_waited_for(broker: str) -> None:
    bus, handled = Bus("a"), list[int]()

    @bus.event_handler("number")
    def take(number: int) -> None:
        handled.append(number)

    with anyio.fail_after(5):
        async with TestBus(bus, broker=broker) as t:
            for number in range(20):
                await bus.publish("number", number)
            await t.idle()
            assert handled == list(range(20))


async def test_what_a_fault_holds_back_is_waited_for(broker: str) -> None:
    bus, handled = Bus("a"), list[int]()

    @bus.event_handler("number")
    async def take(number: int) -> None:
        handled.append(number)
        if number:
            await bus.publish("number", number - 1)

    with anyio.fail_after(5):
        async with TestBus(bus, broker=broker) as t:
            t.faults.delay("number", 0.01)
            await bus.publish("number", 3)
            await t.idle()
            assert handled == [3, 2, 1, 0]


async def test_what_a_subscription_of_the_test_has_not_taken_is_not(broker: str) -> None:
    bus = Bus("a")
    with anyio.fail_after(5):
        async with TestBus(bus, broker=broker) as t, bus.subscribe("number", int) as numbers:
            await bus.publish("number", 7)
            await t.idle()
            assert await anext(numbers) == 7


async def test_a_lost_connection_is_waited_for(broker: str) -> None:
    bus, handled = Bus("a"), list[int]()

    @bus.event_handler("number")
    async def take(number: int) -> None:
        handled.append(number)

    with anyio.fail_after(5):
        async with TestBus(bus, broker=broker) as t:
            await t.disconnect()
            await t.idle()
            assert bus.status == "connected"


async def test_in_a_handler_it_would_wait_for_itself() -> None:
    bus = Bus("a")

    @bus.command_handler("wait")
    async def wait(_: None) -> None:
        with pytest.raises(RuntimeError, match="would wait for itself"):
            await t.idle()

    with anyio.fail_after(5):
        async with TestBus(bus) as t:
            await bus.send("wait", None, wait=True)


async def test_what_is_open_is_counted() -> None:
    opened = Open()
    with anyio.fail_after(5):
        await opened.wait_none()
        with opened.one_more(), opened.one_more():
            assert len(opened) == 2
            with anyio.move_on_after(0) as scope:
                await opened.wait_none()
            assert scope.cancelled_caught
        await opened.wait_none()


class Model:
    """A member whose messages move only when it is flushed, as slowly as that allows."""

    def __init__(self) -> None:
        self.moves = 0
        self.said: list[tuple[Model, int]] = []
        self.under_way: list[int] = []
        self.to_do: list[int] = []
        self.others: list[Model] = []

    def say(self, to: "Model", more: int) -> None:
        """Say something, whose handling says so many more things, one after the other."""
        self.moves += 1
        self.said.append((to, more))

    async def rest(self) -> None:
        await checkpoint()
        while self.to_do:
            if more := self.to_do.pop():
                self.say(self.others[more % len(self.others)], more - 1)

    async def flush(self) -> None:
        await checkpoint()
        for to, more in self.said:
            to.under_way.append(more)
        self.moves += len(self.under_way)
        self.to_do += self.under_way
        self.said, self.under_way = [], []


@pytest.mark.parametrize("speaker", range(3))
@pytest.mark.parametrize("target", range(3))
async def test_each_is_flushed_until_nothing_moves(speaker: int, target: int) -> None:
    models = [Model() for _ in range(3)]
    for model in models:
        model.others = models
    models[speaker].say(models[target], 5)
    with anyio.fail_after(5):
        await wait_quiet(models, Open())
    assert [(each.said, each.under_way, each.to_do) for each in models] == [([], [], [])] * 3
