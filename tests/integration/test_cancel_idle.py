"""Where something cancelled has to be waited for, waiting costs nothing: no task runs in circles meanwhile."""

import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from types import SimpleNamespace

import anyio
import anyio.from_thread
import pytest

from cqrsbus import Broker, Bus, transports
from cqrsbus.links.local_channel import LocalChannel
from tests.integration.sweep.points import turns, until
from tests.integration.sweep.quiet import quiet
from tests.integration.sweep.world import World, running_world

pytestmark = pytest.mark.anyio

_names = count(1)


@pytest.fixture(params=["tcp", "memory"])
def listen_url(request: pytest.FixtureRequest) -> str:
    """Over a socket, and without."""
    return "tcp://127.0.0.1:0" if request.param == "tcp" else f"memory:idle-{next(_names)}"


@pytest.fixture
async def world(listen_url: str) -> AsyncGenerator[World]:
    """A world in which what is about to be tested may take 20 seconds."""
    with anyio.fail_after(20):
        async with running_world(listen_url) as world:
            yield world


@asynccontextmanager
async def _cancelled(
    call: Callable[[], Awaitable[object]], *, once: anyio.Event | None = None
) -> AsyncGenerator[anyio.Event]:
    """A call that is cancelled once something has happened, and has not ended yet; yields its end."""
    ended, scope = anyio.Event(), anyio.CancelScope()

    async def run() -> None:
        with scope:
            await call()
        ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        if once is not None:
            await once.wait()
        # A handler may be at work before entering its bus has returned.
        await turns(20)
        scope.cancel()
        await turns(20)
        yield ended
        await ended.wait()


async def test_the_counter_finds_who_runs_in_circles() -> None:
    async def circle() -> None:
        while True:
            await turns(1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(circle)
        with pytest.raises(AssertionError, match="never comes to rest"):
            await quiet()
        tasks.cancel_scope.cancel()
    await quiet()


async def test_a_bus_that_finishes_what_was_started(world: World) -> None:
    bus, started, gate = Bus("guest", world.broker.url), anyio.Event(), anyio.Event()

    @bus.command_handler("guest.c")
    async def do(number: int) -> None:
        started.set()
        await gate.wait()

    async def send() -> None:
        await until(lambda: world.router._topology.command_group(b"guest.c") is not None, "it is there")
        await world.caller.send("guest.c", 1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        async with _cancelled(bus.run, once=started) as ended:
            await quiet()
            assert not ended.is_set()
            gate.set()


def _silence(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the broker say nothing more."""
    for session in world.broker._sessions:
        # It takes itself for busy writing.
        monkeypatch.setattr(session._framed._io, "writing", True)
    for link in world.links:
        if isinstance(link._line.channel, LocalChannel):
            monkeypatch.setattr(link._line.channel, "_exchange", SimpleNamespace(receive=lambda *_: None))


async def test_a_subscription_that_is_left_while_the_broker_says_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribed = anyio.Event()

    async def listen() -> None:
        async with world.caller.subscribe("s", int):
            _silence(world, monkeypatch)
            subscribed.set()
            await anyio.sleep_forever()

    async with _cancelled(listen, once=subscribed) as ended:
        await quiet()
        # Nothing is delivered to it any more: there is nothing to wait for.
        assert ended.is_set()
        monkeypatch.undo()
        world.hang_up()


async def test_a_caller_that_left_a_thread_behind(world: World) -> None:
    bus, started, gate = Bus("guest", world.broker.url), anyio.Event(), threading.Event()

    @bus.query_handler("guest.q")
    def answer(number: int) -> int:
        anyio.from_thread.run_sync(started.set)
        assert gate.wait(10)
        return number

    async with bus, _cancelled(partial(world.caller.ask, "guest.q", 1), once=started) as ended:
        await quiet()
        assert ended.is_set()
        gate.set()


async def test_a_broker_whose_client_does_not_hang_up(world: World) -> None:
    listening, urls = anyio.Event(), list[str]()

    async def serve() -> None:
        async with Broker("tcp://127.0.0.1:0") as broker:
            urls.append(broker.url)
            listening.set()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        connected = anyio.Event()

        async def connect() -> None:
            await listening.wait()
            stream = await transports.connect(urls[0])
            connected.set()
            try:
                # All that is said is read, but we do not hang up.
                while await stream.receive():
                    pass
                await anyio.sleep_forever()
            finally:
                stream.close()

        tasks.start_soon(connect)
        async with _cancelled(serve, once=connected) as ended:
            await quiet()
            assert not ended.is_set()
            tasks.cancel_scope.cancel()
