"""A caller that leaves, seen from the handler: stopped where it stands or let finish, and settled once."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cqrsbus import BusError, Context
from cqrsbus.links.backoff import FullJitter
from tests.integration.sweep.audit import Audit
from tests.integration.sweep.points import MANY, Moment, Point, Watched, until
from tests.integration.sweep.world import World, running_world

pytestmark = pytest.mark.anyio

_names = count(1)

#: Points of each handler.
AT_LEAST = 6


class Kind(NamedTuple):
    """A handler and how it is called.

    Args:
        topic: Its topic.
        call: Calls it and waits.
        stops: Whether it is stopped when its caller leaves.
    """

    topic: str
    call: Callable[[World, int], Coroutine[Any, Any, object]]
    stops: bool

    def __str__(self) -> str:
        return self.topic


async def _ask(world: World, number: int) -> None:
    await world.caller.ask("watched.q", number)


async def _stream(world: World, number: int) -> None:
    async with world.caller.stream("watched.stream", number) as items:
        async for _ in items:
            pass


async def _gather(world: World, number: int) -> None:
    async with world.caller.gather("watched.q", number) as items:
        async for _ in items:
            pass


async def _send(topic: str, world: World, number: int) -> None:
    await world.caller.send(topic, number, wait=True)


KINDS = (
    Kind("watched.q", _ask, stops=True),
    Kind("watched.q", _gather, stops=True),
    Kind("watched.stream", _stream, stops=True),
    Kind("watched.c.cancel", partial(_send, "watched.c.cancel"), stops=True),
    Kind("watched.c.finish", partial(_send, "watched.c.finish"), stops=False),
)


class Watch:
    """Handlers of every kind, whose work lets the caller leave at a point of it."""

    def __init__(self) -> None:
        self.point = Point(Moment.WAITING, 0)
        self.leave: Callable[[], object] = lambda: None
        self.left = False
        self.cleaned_up = 0

    def declare(self, world: World) -> None:
        """Declare the handlers."""
        service = world.service

        @service.query_handler("watched.q")
        async def answer(number: int, ctx: Context) -> int:
            await self.work(world, "watched.q", number, ctx, stops=True)
            return number

        @service.query_handler("watched.stream")
        async def answer_many(number: int, ctx: Context) -> AsyncGenerator[int]:
            yield number
            await self.work(world, "watched.stream", number, ctx, stops=True)
            yield number

        @service.command_handler("watched.c.cancel", on_cancel="cancel")
        async def do_or_stop(number: int, ctx: Context) -> None:
            await self.work(world, "watched.c.cancel", number, ctx, stops=True)

        @service.command_handler("watched.c.finish")
        async def do(number: int, ctx: Context) -> None:
            await self.work(world, "watched.c.finish", number, ctx, stops=False)

    async def work(self, world: World, topic: str, number: int, ctx: Context, *, stops: bool) -> None:
        """What a handler does; at the point, its caller leaves."""

        async def child() -> None:
            with world.journal.entry(f"{topic}, child", number):
                await checkpoint()

        async def body() -> None:
            await checkpoint()
            ctx.start_soon(child)
            assert await world.service.ask("q", number, headers={"from": topic}) == number
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(checkpoint)

        try:
            with world.journal.entry(topic, number):
                await Watched(body, self.point, self._leave)
                if self.left and stops:
                    # It may have been nearly done. Now only its cancellation ends it.
                    await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await checkpoint()
            self.cleaned_up += 1

    def _leave(self) -> None:
        self.left = True
        self.leave()


@pytest.fixture(params=["tcp", "memory"])
def listen_url(request: pytest.FixtureRequest) -> str:
    """Over a socket, and without."""
    return "tcp://127.0.0.1:0" if request.param == "tcp" else f"memory:handlers-{next(_names)}"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back without a pause after a loss."""
    monkeypatch.setattr(FullJitter, "next_pause", lambda _: 0.0)


@pytest.mark.parametrize("how", ["its scope is cancelled", "its connection is lost"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_a_caller_that_leaves_at_each_point_of_the_handler(
    listen_url: str, kind: Kind, how: str, record_property: Callable[[str, object], None]
) -> None:
    watch, points = Watch(), 0
    with anyio.fail_after(60):
        async with running_world(listen_url, watch.declare) as world:
            audit = Audit(world)
            for moment in (Moment.WAITING, Moment.WOKEN):
                for k in range(1, MANY):
                    watch.point, watch.left, watch.cleaned_up = Point(moment, k), False, 0
                    number = next(world.numbers)
                    await _call_and_leave(world, watch, kind, number, how)
                    await audit.nothing_is_left()
                    _check(world, watch, kind, number)
                    if not watch.left:
                        break
                    points += 1
    record_property("points", points)
    assert points >= AT_LEAST


async def _call_and_leave(world: World, watch: Watch, kind: Kind, number: int, how: str) -> None:
    with anyio.CancelScope() as scope:
        watch.leave = scope.cancel if how == "its scope is cancelled" else world.hang_up
        try:
            await kind.call(world, number)
        except BusError:
            # Whoever asked over a connection that is lost is told.
            assert watch.left
    await world.caller.wait_connected()


def _check(world: World, watch: Watch, kind: Kind, number: int) -> None:
    journal, stopped = world.journal, watch.left and kind.stops
    assert journal.started[kind.topic, number] == watch.cleaned_up == 1
    assert journal.cancelled[kind.topic, number] == int(stopped)
    assert journal.finished[kind.topic, number] == int(not stopped)
    assert world.router.counters.stale_settlements == 0


@pytest.mark.parametrize("leaving", ["scope", "connection"])
@pytest.mark.parametrize("ahead", [1, 5], ids=["in the handler's queue", "in the broker's queue"])
@pytest.mark.parametrize("kind", ["query", "command"])
async def test_what_was_not_started_never_is(listen_url: str, kind: str, ahead: int, leaving: str) -> None:
    with anyio.fail_after(20):
        async with running_world(listen_url, _declare_gated_command) as world:
            audit = Audit(world)
            numbers = [next(world.numbers) for _ in range(ahead + 1)]
            async with anyio.create_task_group() as tasks:
                for number in numbers:
                    tasks.start_soon(_gated, world, kind, number)
                    await until(lambda: world.journal.running == 1, "the first one works")
                await world.flush()
                tasks.cancel_scope.cancel() if leaving == "scope" else world.hang_up()
            if leaving == "connection":
                await world.caller.wait_connected()
            await world.flush()
            while world.journal.running:
                world.open_gate()
                await checkpoint()
            await audit.nothing_is_left()
            started = [number for topic, number in world.journal.started if topic.endswith(".gated")]
            assert started == numbers[:1]


async def _gated(world: World, kind: str, number: int) -> None:
    try:
        if kind == "query":
            await world.caller.ask("q.gated", number, timeout=None)
        else:
            await world.caller.send("c.gated", number, wait=True, timeout=None)
    except BusError:
        pass


def _declare_gated_command(world: World) -> None:
    @world.service.command_handler("c.gated")
    async def do_when_let(number: int) -> None:
        with world.journal.entry("c.gated", number):
            await world.gate.wait()
