"""The broker as a server: where it listens, whom it lets in, how it stops."""

import logging
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest

from cqrsbus import Broker, BrokerLimits, Bus, Code, ConnectError, ConnectionLostError, RoutingLimits, Subscription
from cqrsbus.wire.frames import Frame, Kind
from tests.broker.raw import message, raw_client, subscribe

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "url", ["tcp://0.0.0.0:0", "tcp://[::]:0", "tcp://192.0.2.1:0", "tcp://example.org:0", "tcp://10.0.0.1:9100"]
)
def test_it_does_not_listen_to_the_world_unless_told(url: str) -> None:
    with pytest.raises(ValueError, match="insecure=True"):
        Broker(url)
    Broker(url, insecure=True)


@pytest.mark.parametrize("url", ["memory:", "tcp://127.0.0.1", "http://127.0.0.1:80", "", "nats://127.0.0.1:4222"])
def test_what_is_no_url_to_listen_on_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|name|not available"):
        Broker(url)


async def test_it_listens_on_every_url(tmp_path: Path) -> None:
    wanted = ("tcp://127.0.0.1:0", f"unix://{tmp_path}/s", "memory:everywhere")
    with anyio.fail_after(10):
        async with Broker(*wanted) as broker, AsyncExitStack() as stack:
            assert broker.url == broker.urls[0] != wanted[0]
            assert broker.urls[1:] == wanted[1:]
            buses = [Bus(f"bus-{index}", url) for index, url in enumerate(broker.urls)]
            for bus in buses:

                @bus.query_handler(bus.name)
                async def answer(number: int, name: str = bus.name) -> str:
                    return f"{name} {number}"

                await stack.enter_async_context(bus)
            for asker in buses:
                for answerer in buses:
                    assert await asker.ask(answerer.name, 1, returns=str) == f"{answerer.name} 1"
            assert broker.connections == 2


async def test_a_port_or_name_in_use_is_refused_and_nothing_is_left_listening(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with Broker("tcp://127.0.0.1:0", f"unix://{tmp_path}/s", "memory:taken") as broker:
            for url in broker.urls:
                free = f"unix://{tmp_path}/free"
                with pytest.raises(ConnectError, match=r"in use|listens there already"):
                    await Broker(free, url).__aenter__()
                async with Broker(free):
                    pass


async def test_it_can_be_started_again(tmp_path: Path) -> None:
    broker = Broker(f"unix://{tmp_path}/s")
    with anyio.fail_after(10):
        for _ in range(2):
            async with broker:
                with pytest.raises(RuntimeError, match="running already"):
                    await broker.__aenter__()
                async with Bus("guest", broker.url) as bus:
                    assert bus.status == "connected"
            with pytest.raises(RuntimeError, match="not listening"):
                _ = broker.url


def test_it_can_be_started_again_on_another_event_loop() -> None:
    broker = Broker("tcp://127.0.0.1:0")

    async def use() -> None:
        with anyio.fail_after(10):
            async with broker, Bus("guest", broker.url) as bus, raw_client(broker.url) as client:
                await client.greet()
                assert bus.status == "connected"

    for backend in ("asyncio", "trio", "asyncio"):
        anyio.run(use, backend=backend)


async def test_what_the_body_raises_leaves_as_it_is() -> None:
    with anyio.fail_after(10), pytest.raises(LookupError):
        async with Broker("tcp://127.0.0.1:0"):
            raise LookupError


class TestFull:
    """More clients than may be."""

    @pytest.fixture
    def limits(self) -> BrokerLimits:
        return BrokerLimits(max_connections=2, max_opening=2, handshake_timeout=0.2, drain_timeout=0.1)

    async def test_one_too_many_is_told_and_those_who_are_there_go_on(self, broker: Broker) -> None:
        one, two = Bus("one", broker.url), Bus("two", broker.url)

        @two.query_handler("q")
        async def answer(number: int) -> int:
            return number

        with anyio.fail_after(10):
            async with one, two:
                for _ in range(20):
                    async with raw_client(broker.url) as third:
                        code, reason = await third.expect_refusal()
                        assert code == Code.TOO_MANY_CONNECTIONS
                        assert "2" in reason
                with pytest.raises(ConnectError, match="no room"):
                    await Bus("third", broker.url, connect_timeout=0.3).__aenter__()
                assert await one.ask("q", 1) == 1

    async def test_who_was_refused_and_lingers_takes_nobodys_place(self, broker: Broker) -> None:
        with anyio.fail_after(10):
            async with Bus("one", broker.url), raw_client(broker.url) as refused:
                async with Bus("two", broker.url), raw_client(broker.url) as refused:
                    await refused.expect(Kind.ERROR)
                    # It does not hang up, and so its session is still there.
                    async with raw_client(broker.url) as another:
                        await another.expect(Kind.ERROR)
                async with Bus("three", broker.url) as three:
                    assert three.status == "connected"

    async def test_silent_strangers_keep_nobody_out_for_long(self, broker: Broker) -> None:
        host, port = broker.url.removeprefix("tcp://").split(":")
        silent = [socket.create_connection((host, int(port))) for _ in range(6)]
        try:
            with anyio.fail_after(10):
                async with Bus("patient", broker.url) as bus:
                    assert bus.status == "connected"
        finally:
            for sock in silent:
                sock.close()

    async def test_it_stops_while_strangers_wait_to_be_let_in(self) -> None:
        limits = BrokerLimits(max_opening=1, drain_timeout=0.1)
        with anyio.fail_after(10):
            async with Broker("tcp://127.0.0.1:0", limits=limits) as broker, AsyncExitStack() as stack:
                host, port = broker.url.removeprefix("tcp://").split(":")
                for _ in range(4):
                    stack.enter_context(socket.create_connection((host, int(port))))
                while broker.connections < 1:
                    await anyio.lowlevel.checkpoint()
                await anyio.wait_all_tasks_blocked()


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    """Leave this process only a few more descriptors than it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name.name) for name in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 12, hard))
    yield highest + 12
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_out_of_descriptors_it_survives_and_recovers(
    broker: Broker, few_descriptors: int, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = broker.url.removeprefix("tcp://").split(":")
    taken: list[socket.socket] = []
    with anyio.fail_after(15), caplog.at_level(logging.WARNING, "cqrsbus"):
        while len(taken) < few_descriptors:
            try:
                taken.append(socket.create_connection((host, int(port))))
            except OSError:
                break
        while not caplog.records:
            await anyio.lowlevel.checkpoint()
        for sock in taken:
            sock.close()
        while broker.connections:
            await anyio.lowlevel.checkpoint()
        before = anyio.current_time()
        async with Bus("back", broker.url) as bus:
            assert bus.status == "connected"
        assert anyio.current_time() - before < 5
    assert len([record for record in caplog.records if "cannot accept" in record.getMessage()]) == 1


class TestDrain:
    """Leaving lets open requests finish, for a while."""

    async def test_an_open_ask_is_answered(self) -> None:
        asked, release, answers = anyio.Event(), anyio.Event(), list[int]()
        bus = Bus("both")

        @bus.query_handler("q")
        async def answer(number: int) -> int:
            asked.set()
            await release.wait()
            return number

        async def ask() -> None:
            answers.append(await bus.ask("q", 1))

        async def serve(*, task_status: anyio.abc.TaskStatus[str]) -> None:
            async with Broker("tcp://127.0.0.1:0") as broker:
                task_status.started(broker.url)
                await asked.wait()
            stopped.set()

        stopped = anyio.Event()
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                bus.url = await tasks.start(serve)
                async with bus:
                    async with anyio.create_task_group() as asking:
                        asking.start_soon(ask)
                        await asked.wait()
                        await anyio.wait_all_tasks_blocked()
                        assert not stopped.is_set()
                        release.set()
                    await stopped.wait()
        assert answers == [1]

    async def test_but_not_for_ever(self) -> None:
        asked, errors = anyio.Event(), list[ConnectionLostError]()
        bus = Bus("both")

        @bus.query_handler("q")
        async def answer(number: int) -> int:
            asked.set()
            await anyio.sleep_forever()
            return number

        async def ask() -> None:
            with pytest.raises(ConnectionLostError) as caught:
                await bus.ask("q", 1, timeout=None)
            errors.append(caught.value)

        async def serve(*, task_status: anyio.abc.TaskStatus[str]) -> None:
            async with Broker("tcp://127.0.0.1:0", limits=BrokerLimits(drain_timeout=0.05)) as broker:
                task_status.started(broker.url)
                await asked.wait()

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                bus.url = await tasks.start(serve)
                async with bus:
                    await ask()
        assert len(errors) == 1

    async def test_who_has_not_said_hello_yet_is_sent_away_at_once(self) -> None:
        stop = anyio.Event()

        async def serve(*, task_status: anyio.abc.TaskStatus[Broker]) -> None:
            async with Broker("tcp://127.0.0.1:0", limits=BrokerLimits(max_opening=1)) as broker:
                task_status.started(broker)
                await stop.wait()

        with anyio.fail_after(9):  # less than draining may take
            async with anyio.create_task_group() as tasks:
                broker = await tasks.start(serve)
                async with AsyncExitStack() as stack:
                    busy = await stack.enter_async_context(raw_client(broker.url))
                    await busy.greet()
                    await busy.send(subscribe("query", "q"), message(Kind.ASK, "q"))
                    # One is being greeted, the next waits for that.
                    late = [await stack.enter_async_context(raw_client(broker.url)) for _ in range(2)]
                    while broker.connections < 2:
                        await anyio.lowlevel.checkpoint()
                    await anyio.wait_all_tasks_blocked()
                    stop.set()
                    for client in late:
                        assert (await client.expect(Kind.ERROR)).detail == Code.SHUTTING_DOWN
                    # Whoever asked before is still waited for.
                    assert [(await busy.expect(kind)).kind for kind in (Kind.CONFIRM, Kind.DELIVER, Kind.DRAIN)]
                    await busy.send(Frame(Kind.REPLY, id=1))
                    assert [(await busy.expect(kind)).kind for kind in (Kind.REPLY, Kind.ERROR)]

    async def test_clients_are_told_before_they_are_sent_away(self) -> None:
        with anyio.fail_after(10):
            async with AsyncExitStack() as stack:
                async with Broker("tcp://127.0.0.1:0") as broker:
                    client = await stack.enter_async_context(raw_client(broker.url))
                    await client.greet()
                await client.expect(Kind.DRAIN)
                assert (await client.expect_refusal())[0] == Code.SHUTTING_DOWN


async def test_cancelled_it_stops_at_once_and_leaves_nothing_behind(broker: Broker) -> None:
    other, bus = Broker("tcp://127.0.0.1:0"), Bus("guest")
    with anyio.fail_after(5):
        with anyio.CancelScope() as scope:
            async with other:
                bus.url = other.url
                async with bus:
                    scope.cancel()
                    await anyio.sleep_forever()
        assert bus.status == "closed"
        with pytest.raises(RuntimeError):
            _ = other.url


class TestFanOut:
    """A large event to many subscribers is one buffer."""

    @pytest.fixture
    def limits(self) -> BrokerLimits:
        return BrokerLimits(drain_timeout=0.1, routing=RoutingLimits(max_subscriptions=300))

    @pytest.fixture
    def guests(self, broker: Broker) -> list[Bus]:
        return [Bus(f"guest-{index}", broker.url) for index in range(3)]

    async def test_every_copy_arrives_whole(self, broker: Broker, guests: list[Bus]) -> None:
        body = bytes(range(256)) * 4000
        with anyio.fail_after(20):
            async with AsyncExitStack() as stack:
                subscriptions: list[Subscription[bytes]] = []
                for guest in guests:
                    await stack.enter_async_context(guest)
                    subscriptions += [
                        await stack.enter_async_context(guest.subscribe("large", bytes)) for _ in range(5)
                    ]
                await guests[0].publish("large", body)
                for subscription in subscriptions:
                    assert await anext(subscription) == body
