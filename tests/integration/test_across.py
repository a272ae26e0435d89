"""Across event loops and threads: a bus on one, its broker on another; and programs without any."""

import threading
from collections.abc import Iterator

import anyio
import anyio.from_thread
import pytest

from cqrsbus import Broker, BrokerLimits, Bus, ConnectError, ConnectionLostError, NoHandlerError, Query, RemoteError
from tests.test_backends import running_backend

OTHERS = [("asyncio", {}), ("asyncio", {"use_uvloop": True}), ("trio", {})]


@pytest.fixture(params=OTHERS, ids=["asyncio", "asyncio+uvloop", "trio"])
def broker_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A broker that runs on an event loop in a thread of its own."""
    name, options = request.param
    with anyio.from_thread.start_blocking_portal(name, options) as portal:
        broker = Broker("tcp://127.0.0.1:0", limits=BrokerLimits(drain_timeout=0.1))
        with portal.wrap_async_context_manager(broker):
            wanted = "trio" if name == "trio" else "asyncio+uvloop" if options else "asyncio"
            assert portal.call(_backend) == wanted
            yield broker.url


async def _backend() -> str:
    return running_backend()


class Double(Query[int], topic="double"):
    number: int


@pytest.mark.anyio
async def test_a_bus_on_one_backend_talks_to_a_broker_on_another(broker_url: str) -> None:
    bus = Bus("both", broker_url)

    @bus.query_handler()
    async def double(query: Double) -> int:
        return 2 * query.number

    with anyio.fail_after(20):
        async with bus, bus.subscribe("e", int) as numbers:
            assert await bus.ask(Double(number=4)) == 8
            for number in range(2000):
                await bus.publish("e", number)
            for number in range(2000):
                assert await anext(numbers) == number


@pytest.fixture(params=["tcp", "memory"])
def place(request: pytest.FixtureRequest) -> str:
    """Where the broker of the programs without an event loop is."""
    kind: str = request.param
    return kind


@pytest.fixture(params=["asyncio", "trio"])
def sync_bus(request: pytest.FixtureRequest, place: str) -> Iterator[tuple[Bus, str]]:
    """A bus with handlers, and the backend to run it on."""
    with anyio.from_thread.start_blocking_portal("asyncio") as portal:
        broker = Broker("tcp://127.0.0.1:0", limits=BrokerLimits(drain_timeout=0.1))
        with portal.wrap_async_context_manager(broker):
            bus = Bus("sync", broker.url if place == "tcp" else "memory:")

            @bus.query_handler()
            def double(query: Double) -> int:
                return 2 * query.number

            @bus.command_handler("fail")
            def fail(text: str) -> None:
                raise LookupError(text)

            yield bus, request.param


def test_a_program_without_an_event_loop(sync_bus: tuple[Bus, str]) -> None:
    bus, backend = sync_bus
    with bus.sync(backend=backend) as b:
        b.wait_connected()
        assert b.status == "connected"
        assert b.ask(Double(number=2)) == 4
        assert b.ask("double", {"number": 3}, returns=int) == 6
        b.send("fail", "text")
        with pytest.raises(RemoteError, match="LookupError: text"):
            b.send("fail", "text", wait=True)
        with pytest.raises(NoHandlerError):
            b.ask("nobody", 1)
        with b.subscribe("e.*", int) as numbers:
            b.publish("e.f", 1)
            b.publish("e.g", 2)
            assert [next(numbers), next(numbers)] == [1, 2]
    assert bus.status == "closed"


def test_several_threads_share_a_sync_bus(sync_bus: tuple[Bus, str]) -> None:
    bus, backend = sync_bus
    answers = dict[int, int]()
    with bus.sync(backend=backend) as b:

        def ask(number: int) -> None:
            answers[number] = b.ask(Double(number=number), timeout=20)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert answers == {number: 2 * number for number in range(20)}


def _raise_inside(bus: Bus, backend: str, error: type[BaseException]) -> None:
    with bus.sync(backend=backend) as b:
        b.publish("e", 1)
        raise error


def test_what_the_body_raises_leaves_as_it_is_and_ends_the_bus(sync_bus: tuple[Bus, str]) -> None:
    bus, backend = sync_bus
    for error in (LookupError, KeyboardInterrupt):
        with pytest.raises(error):
            _raise_inside(bus, backend, error)
        assert bus.status == "closed"


def test_a_thread_that_listens_ends_with_the_bus(sync_bus: tuple[Bus, str]) -> None:
    bus, backend = sync_bus
    heard, listening, first = list[int](), threading.Event(), threading.Event()
    with bus.sync(backend=backend) as b:

        def listen() -> None:
            with b.subscribe("e", int) as numbers:
                listening.set()
                for number in numbers:
                    heard.append(number)
                    first.set()

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        assert listening.wait(10)
        b.publish("e", 1)
        assert first.wait(10)
    thread.join(10)
    assert not thread.is_alive()
    assert heard == [1]


def test_threads_that_call_until_the_bus_is_gone_are_told_so(sync_bus: tuple[Bus, str]) -> None:
    bus, backend = sync_bus
    started = threading.Barrier(5, timeout=10)
    errors = list[Exception]()
    with bus.sync(backend=backend) as b:

        def publish_for_ever() -> None:
            started.wait()
            try:
                while True:
                    b.publish("e", 1)
            except (RuntimeError, ConnectionLostError) as error:
                errors.append(error)

        threads = [threading.Thread(target=publish_for_ever, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        started.wait()
    for thread in threads:
        thread.join(10)
    assert len(errors) == 4


def test_a_broker_that_is_not_there() -> None:
    with pytest.raises(ConnectError), Bus("sync", "unix:///nowhere/at/all", connect_timeout=0.1).sync():
        raise AssertionError("it cannot be entered")


@pytest.mark.anyio
async def test_two_event_loops_do_not_share_a_memory_broker() -> None:
    def elsewhere() -> str:
        async def ask() -> str:
            async with Bus("asker", "memory:mine") as bus:
                try:
                    return str(await bus.ask("q", 1))
                except NoHandlerError:
                    return "nobody"

        return anyio.run(ask)

    bus = Bus("handling", "memory:mine")

    @bus.query_handler("q")
    async def answer(number: int) -> int:
        return number

    with anyio.fail_after(10):
        async with bus, Bus("other", "memory:mine") as other:
            assert await other.ask("q", 1) == 1
            assert await anyio.to_thread.run_sync(elsewhere) == "nobody"
