"""After a loss everything comes back by itself; what was in flight says so."""

import logging
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import Process, TaskGroup, TaskStatus
from anyio.streams.buffered import BufferedByteReceiveStream

from cqrsbus import (
    Broker,
    BrokerLimits,
    Bus,
    ConnectionLostError,
    DeadlineExceededError,
    DeliveryUnknownError,
    NoHandlerError,
    TopologyError,
)
from cqrsbus.links.broker_link import BrokerLink
from cqrsbus.links.channel import Channel

pytestmark = pytest.mark.anyio

LIMITS = BrokerLimits(drain_timeout=0.05)

SOURCE = """
import sys
import anyio
from cqrsbus import Broker

async def main() -> None:
    async with Broker(sys.argv[1]) as broker:
        print(broker.url, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back as fast as the broker does: how long pauses are is tested where they are made."""
    monkeypatch.setattr("cqrsbus.links.backoff.random.uniform", lambda low, high: min(high, 0.01))


class Stoppable:
    """A broker that is stopped and started again at the same URL, in a task of its own."""

    def __init__(self, url: str, tasks: TaskGroup) -> None:
        self.url = url
        self._tasks = tasks
        self._stop = self._stopped = anyio.Event()

    async def start(self) -> None:
        self._stop, self._stopped = anyio.Event(), anyio.Event()
        await self._tasks.start(self._serve)

    async def stop(self) -> None:
        self._stop.set()
        await self._stopped.wait()

    async def _serve(self, *, task_status: TaskStatus[None]) -> None:
        async with Broker(self.url, limits=LIMITS):
            task_status.started()
            await self._stop.wait()
        self._stopped.set()


@pytest.fixture
async def broker_process(anyio_backend: object, tcp_url: str) -> AsyncIterator["Launcher"]:
    launcher = Launcher(tcp_url)
    yield launcher
    await launcher.kill()


class Launcher:
    """A broker in a process of its own."""

    def __init__(self, url: str) -> None:
        self.process: Process | None = None
        self.url = url

    async def start(self) -> None:
        self.process = await anyio.open_process([sys.executable, "-c", SOURCE, self.url], stderr=None)
        assert self.process.stdout is not None
        assert await BufferedByteReceiveStream(self.process.stdout).receive_until(b"\n", 1000) == self.url.encode()

    async def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            await self.process.wait()
            await self.process.aclose()
            self.process = None


@asynccontextmanager
async def stoppable_broker(url: str) -> AsyncGenerator[Stoppable, None]:
    async with anyio.create_task_group() as tasks:
        broker = Stoppable(url, tasks)
        await broker.start()
        yield broker
        await broker.stop()


def _service(url: str, heard: dict[str, int], everything: anyio.Event) -> Bus:
    bus = Bus("service", url)

    def note(what: str) -> None:
        heard[what] = heard.get(what, 0) + 1
        if len(heard) == 3:
            everything.set()

    @bus.query_handler("double")
    async def double(number: int) -> int:
        return 2 * number

    @bus.command_handler("do")
    async def do(number: int) -> None:
        note("command")

    @bus.event_handler("event.>")
    async def listen(number: int) -> None:
        note("event")

    @bus.event_handler("event.*", group="g")
    async def share(number: int) -> None:
        note("group")

    return bus


async def _use(bus: Bus, number: int, heard: dict[str, int], everything: anyio.Event) -> None:
    assert await bus.ask("double", number, returns=int) == 2 * number
    await bus.send("do", number)
    await bus.publish("event.e", number)
    await everything.wait()
    heard.clear()


async def test_every_subscription_is_back_after_the_broker_was_restarted(listen_url: str) -> None:
    heard, everything = dict[str, int](), anyio.Event()
    with anyio.fail_after(20):
        async with stoppable_broker(listen_url) as broker:
            bus = _service(broker.url, heard, everything)
            async with bus, bus.subscribe("event.*", int) as numbers:
                for round_ in range(3):
                    await _use(bus, round_, heard, everything)
                    assert await anext(numbers) == round_
                    await broker.stop()
                    while bus.status == "connected":
                        await anyio.lowlevel.checkpoint()
                    assert bus.status == "reconnecting"
                    await broker.start()
                    await bus.wait_connected()
                    assert bus.status == "connected"
            assert bus.status == "closed"


async def test_every_subscription_is_back_after_the_broker_was_killed(broker_process: Launcher) -> None:
    heard, everything = dict[str, int](), anyio.Event()
    with anyio.fail_after(30):
        await broker_process.start()
        bus = _service(broker_process.url, heard, everything)
        async with bus, bus.subscribe("event.*", int) as numbers:
            for round_ in range(2):
                await _use(bus, round_, heard, everything)
                assert await anext(numbers) == round_
                await broker_process.kill()
                await broker_process.start()
                # No waiting for the connection: the calls do that.


async def test_a_call_made_while_reconnecting_waits_for_the_connection(listen_url: str) -> None:
    heard, everything, answers = dict[str, int](), anyio.Event(), list[int]()
    with anyio.fail_after(20):
        async with (
            stoppable_broker(listen_url) as broker,
            _service(broker.url, heard, everything) as bus,
        ):
            await broker.stop()
            while bus.status == "connected":
                await anyio.lowlevel.checkpoint()

            async def ask() -> None:
                answers.append(await bus.ask("double", 4, returns=int, timeout=10))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                tasks.start_soon(bus.publish, "event.e", 1)
                await anyio.wait_all_tasks_blocked()
                await broker.start()
            assert answers == [8]


@pytest.mark.parametrize("lost", ["before it is left", "while it is left"])
async def test_a_service_that_is_being_left_takes_nothing_new_from_a_broker_that_comes_back(
    lost: str, listen_url: str
) -> None:
    handled, begun, go_on = list[int](), anyio.Event(), anyio.Event()
    service = Bus("service", drain_timeout=10)

    @service.command_handler("c")
    async def handle(number: int) -> None:
        begun.set()
        await go_on.wait()
        handled.append(number)

    async def leave() -> None:
        async with service:
            await client.send("c", 1)
            await begun.wait()
            if lost == "before it is left":
                await restart()
        # It has finished what it had begun.
        assert handled == [1]

    async def restart() -> None:
        await broker.stop()
        while service.status == "connected":
            await anyio.lowlevel.checkpoint()
        await broker.start()

    with anyio.fail_after(20):
        async with stoppable_broker(listen_url) as broker, Bus("client", broker.url) as client:
            service.url = broker.url
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(leave)
                await begun.wait()
                link = service._link
                assert isinstance(link, BrokerLink)
                while not link._draining:
                    await anyio.lowlevel.checkpoint()
                if lost == "while it is left":
                    await restart()
                await service.wait_connected()
                with pytest.raises(NoHandlerError):
                    await client.send("c", 2)
                go_on.set()
    assert handled == [1]


async def test_up_to_its_own_timeout(listen_url: str) -> None:
    with anyio.fail_after(20):
        async with stoppable_broker(listen_url) as broker, Bus("asker", broker.url) as bus:
            await broker.stop()
            while bus.status == "connected":
                await anyio.lowlevel.checkpoint()
            before = anyio.current_time()
            for call in (bus.ask, bus.send, bus.publish):
                with pytest.raises(DeadlineExceededError, match="not connected to"):
                    await call("t", 1, timeout=0.05)
            with pytest.raises(DeadlineExceededError):
                await bus.subscribe("t", timeout=0.05).__aenter__()
            # It is the timeout that ended each of the four; timers may be some milliseconds early.
            assert anyio.current_time() - before > 3 * 0.05
            await broker.start()
            await bus.wait_connected()


async def test_what_is_in_flight_when_the_connection_is_lost_says_so(broker_process: Launcher) -> None:
    errors, started = dict[str, Exception](), anyio.Event()

    async def catch(what: str, call: object) -> None:
        try:
            await call  # type: ignore[misc]  # a coroutine
        except ConnectionLostError as error:
            errors[what] = error

    with anyio.fail_after(20):
        await broker_process.start()
        bus = Bus("both", broker_process.url)
        begun = 0

        def begin() -> None:
            nonlocal begun
            begun += 1
            if begun == 2:
                started.set()

        @bus.query_handler("q")
        async def answer(number: int) -> int:
            begin()
            await anyio.sleep_forever()
            return number

        @bus.command_handler("c", on_cancel="cancel")
        async def do(number: int) -> None:
            begin()
            await anyio.sleep_forever()

        async with bus, anyio.create_task_group() as tasks:
            tasks.start_soon(catch, "ask", bus.ask("q", 1, timeout=None))
            tasks.start_soon(catch, "send", bus.send("c", 1, wait=True, timeout=None))
            await started.wait()
            await broker_process.kill()
    assert type(errors["ask"]) is ConnectionLostError
    assert type(errors["send"]) is DeliveryUnknownError
    assert str(broker_process.url) in str(errors["ask"])


async def test_what_was_confirmed_is_handled_though_the_broker_is_lost(broker_process: Launcher) -> None:
    handled, all_came = list[str](), anyio.Event()
    started, go_on = anyio.Event(), anyio.Event()

    with anyio.fail_after(20):
        await broker_process.start()
        bus = Bus("both", broker_process.url)

        async def handle(what: str) -> None:
            started.set()
            await go_on.wait()
            handled.append(what)
            if len(handled) == 4:
                all_came.set()

        bus.command_handler("c", on_cancel="cancel")(handle)

        async with bus:
            for what in ("one", "two", "three"):
                await bus.send("c", what)
            await started.wait()
            await broker_process.kill()
            while bus.status == "connected":
                await anyio.lowlevel.checkpoint()
            await broker_process.start()
            await bus.send("c", "four")
            go_on.set()
            await all_came.wait()
    assert handled == ["one", "two", "three", "four"]


async def test_a_hundred_waiting_calls_end_when_the_broker_stops(listen_url: str) -> None:
    ended = list[type[Exception]]()
    started = anyio.Event()
    bus = Bus("both")

    @bus.query_handler("q", concurrency=100)
    async def answer(number: int) -> int:
        if number == 99:
            started.set()
        await anyio.sleep_forever()
        return number

    async def ask(number: int) -> None:
        try:
            await bus.ask("q", number, timeout=None)
        except ConnectionLostError as error:
            ended.append(type(error))

    with anyio.fail_after(20):
        async with stoppable_broker(listen_url) as broker:
            bus.url = broker.url
            async with bus, anyio.create_task_group() as tasks:
                for number in range(100):
                    tasks.start_soon(ask, number)
                await started.wait()
                await broker.stop()
    assert len(ended) == 100


async def test_a_service_that_took_the_command_meanwhile_ends_the_bus_and_is_named(tcp_url: str) -> None:
    with anyio.fail_after(20):
        async with stoppable_broker(tcp_url) as broker:
            owner, thief = Bus("owner", broker.url), Bus("thief", broker.url)

            @owner.command_handler("c")
            async def mine(number: int) -> None: ...

            @thief.command_handler("c")
            async def theirs(number: int) -> None: ...

            async def be_owner() -> None:
                async with owner:
                    gate = _gated(owner)
                    await broker.stop()
                    await broker.start()
                    async with thief:
                        gate.set()
                        await anyio.sleep_forever()

            with pytest.raises(TopologyError, match="thief"):
                await be_owner()
            assert owner.status == thief.status == "closed"


def _gated(bus: Bus) -> anyio.Event:
    """Let the bus reconnect only when the event is set."""
    gate, link = anyio.Event(), bus._link
    assert isinstance(link, BrokerLink)
    open_channel = link._open_channel

    async def open_when_allowed() -> Channel:
        await gate.wait()
        return await open_channel()

    link._open_channel = open_when_allowed
    return gate


async def test_attempts_that_fail_midway_leave_no_call_behind(listen_url: str) -> None:
    """More of them than calls may be open: were they kept, nobody could call any more."""
    heard, everything = dict[str, int](), anyio.Event()
    with anyio.fail_after(30):
        async with stoppable_broker(listen_url) as broker:
            bus = _service(broker.url, heard, everything)
            async with bus:
                link = bus._link
                for _ in range(20):
                    # Whether an attempt is made in between, and how far it gets, is up to chance.
                    await broker.stop()
                    await broker.start()
                    await anyio.lowlevel.checkpoint()
                await bus.wait_connected()
                await _use(bus, 3, heard, everything)
                assert isinstance(link, BrokerLink)
                assert len(link._calls) == 0


async def test_the_log_says_once_why_it_is_not_connected(tcp_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with anyio.fail_after(20), caplog.at_level(logging.WARNING, "cqrsbus"):
        async with (
            stoppable_broker(tcp_url) as broker,
            Bus("asker", broker.url) as bus,
        ):
            await broker.stop()
            with pytest.raises(DeadlineExceededError):
                await bus.ask("q", timeout=0.3)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == len(set(said))
    assert any("refused" in line for line in said)
