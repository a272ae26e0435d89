"""Entering, leaving, and every way to get stuck in between."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint
from anyio.streams.buffered import BufferedByteReceiveStream

from cqrsbus import (
    Broker,
    BrokerLimits,
    Bus,
    ConnectionLostError,
    DeadlineExceededError,
    HandlerGroup,
    RoutingLimits,
    TopologyError,
)

pytestmark = pytest.mark.anyio


class OfMyOwnError(Exception):
    pass


async def test_what_the_body_raises_leaves_as_it_is(url: str) -> None:
    async def body() -> None:
        async with Bus("one", url) as one, Bus("two", url), one.subscribe("e"):
            raise OfMyOwnError

    with anyio.fail_after(10), pytest.raises(OfMyOwnError):
        await body()


async def test_a_bus_can_be_entered_again_but_not_twice(url: str) -> None:
    bus = Bus("one", url)

    @bus.query_handler("q")
    async def answer(number: int) -> int:
        return number

    assert bus.status == "closed"
    with anyio.fail_after(10):
        for round_ in range(3):
            async with bus:
                assert bus.status == "connected"
                with pytest.raises(RuntimeError, match="running already"):
                    await bus.__aenter__()
                with pytest.raises(RuntimeError, match="cannot be changed"):
                    bus.url = "memory:"
                assert await bus.ask("q", round_) == round_
            assert bus.status == "closed"
            with pytest.raises(RuntimeError, match="needs a running bus"):
                await bus.ask("q", 1)


async def test_handlers_are_declared_before(url: str) -> None:
    bus, group = Bus("one", url), HandlerGroup()

    @group.event_handler("e")
    async def listen(number: int) -> None: ...

    with anyio.fail_after(10):
        async with bus:
            with pytest.raises(TopologyError, match="running already"):
                bus.include(group)


async def test_leaving_finishes_what_was_started_and_what_has_arrived(url: str) -> None:
    handled, first, release = list[int](), anyio.Event(), anyio.Event()
    bus = Bus("slow", url)

    @bus.command_handler("c")
    async def do(number: int) -> None:
        first.set()
        await release.wait()
        handled.append(number)

    async def release_when_leaving() -> None:
        while bus.status == "connected" and not handled:
            await checkpoint()
            release.set()

    with anyio.fail_after(10):
        async with Bus("sender", url) as sender, anyio.create_task_group() as tasks, bus:
            for number in range(20):
                await sender.send("c", number)
            await first.wait()
            tasks.start_soon(release_when_leaving)
    assert handled == list(range(20))


async def test_events_that_arrived_together_with_the_farewell_are_handled(url: str) -> None:
    for _ in range(20):
        handled = list[int]()
        bus = Bus("listener", url)

        @bus.event_handler("e")
        async def listen(number: int, handled: list[int] = handled) -> None:
            handled.append(number)

        with anyio.fail_after(10):
            async with Bus("teller", url) as teller, bus:
                for number in range(5):
                    await teller.publish("e", number)
                await teller._link.flush()  # type: ignore[union-attr]  # the broker has read them all
        assert handled == [0, 1, 2, 3, 4]


async def test_calls_in_flight_when_the_bus_is_left_end(url: str) -> None:
    errors, asked = list[Exception](), anyio.Event()
    handling, asking = Bus("handling", url, drain_timeout=0), Bus("asking", url)

    @handling.query_handler("q")
    async def answer(number: int) -> int:
        asked.set()
        await anyio.sleep_forever()
        return number

    async def ask() -> None:
        with pytest.raises(ConnectionLostError, match="closed") as caught:
            await asking.ask("q", 1, timeout=None)
        errors.append(caught.value)

    with anyio.fail_after(10):
        async with handling, anyio.create_task_group() as tasks, asking:
            tasks.start_soon(ask)
            await asked.wait()
    assert len(errors) == 1


async def test_run_serves_until_it_is_cancelled(url: str) -> None:
    bus = Bus("service", url)

    @bus.query_handler("q")
    async def answer(number: int) -> int:
        return number

    with anyio.fail_after(10):
        async with Bus("asker", url) as asker, anyio.create_task_group() as tasks:
            tasks.start_soon(bus.run)
            while bus.status != "connected":
                await checkpoint()
            assert await asker.ask("q", 4) == 4
            tasks.cancel_scope.cancel()
        assert bus.status == "closed"


async def test_two_services_that_publish_to_each_other_do_not_block_each_other(url: str) -> None:
    """Each handler publishes more than the window: the events go back and forth through both."""
    rounds, done = 300, anyio.Event()
    one, two = Bus("one", url), Bus("two", url)

    @one.event_handler("to.one")
    async def ping(body: bytes) -> None:
        await one.publish("to.two", body)

    @two.event_handler("to.two")
    async def pong(body: bytes) -> None:
        number = int(body[:8])
        if number == rounds - 1:
            done.set()
        else:
            await two.publish("to.one", b"%08d" % (number + 20) + body[8:])

    with anyio.fail_after(20):
        async with one, two:
            for number in range(20):
                await one.publish("to.one", b"%08d" % number + b"x" * 100_000)
            await done.wait()


class TestSlowSubscriber:
    """A publisher is held back by who cannot follow, and lets go of who does not move at all."""

    @pytest.fixture
    def place(self) -> str:
        return "tcp"

    @pytest.fixture
    def limits(self) -> BrokerLimits:
        routing = RoutingLimits(
            publish_window=10_000,
            max_queue_bytes=100_000,
            max_credit_bytes=20_000,
            stall_timeout=0.2,
        )
        return BrokerLimits(drain_timeout=0.1, routing=routing)

    async def test_the_publisher_waits_and_nothing_is_lost(self, url: str) -> None:
        events, heard, published = 300, list[int](), list[int]()
        with anyio.fail_after(20):
            async with (
                Bus("slow", url) as slow,
                Bus("fast", url) as fast,
                Bus("teller", url) as teller,
                slow.subscribe("e") as slowly,
                fast.subscribe("e") as quickly,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(_publish, teller, events, published)
                for number in range(events):
                    heard.append((await anext(slowly))["n"])
                    # Its queue and credit and the publisher's window are all that may be under way.
                    assert len(published) - len(heard) < 200
                    await anext(quickly)
                    assert number == heard[-1]
        assert heard == list(range(events))

    async def test_one_that_stands_still_is_cut_off_and_the_others_go_on(self, url: str) -> None:
        events, heard = 300, list[int]()
        with anyio.fail_after(20):
            async with (
                Bus("still", url) as still,
                Bus("fast", url) as fast,
                Bus("teller", url) as teller,
                still.subscribe("e"),
                fast.subscribe("e") as quickly,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(_publish, teller, events, [])
                for _ in range(events):
                    heard.append((await anext(quickly))["n"])
                # It comes back, to stand still again.
                await still.wait_connected()
        assert heard == list(range(events))


async def _publish(bus: Bus, events: int, published: list[int]) -> None:
    for number in range(events):
        await bus.publish("e", {"n": number, "x": b"x" * 1000}, timeout=None)
        published.append(number)


async def test_a_bus_that_leaves_does_not_stop_the_clock_of_those_who_stay() -> None:
    """Who shares a memory: name shares its time: a command that nobody is free for expires all the same."""
    url = "memory:time-passes"
    one, two, release, started = Bus("one", url), Bus("two", url), anyio.Event(), anyio.Event()

    @one.command_handler("c")
    async def do(number: int) -> None:
        started.set()
        await release.wait()

    with anyio.fail_after(10):
        async with one:
            async with two:
                await two.send("c", 0)
                await started.wait()
            for number in range(1, 64):
                await one.send("c", number)
            # The router says so, not the caller's own clock, which would call the fate unknown.
            with pytest.raises(DeadlineExceededError, match="never started"):
                await one.send("c", 64, timeout=0.05)
            release.set()


_SERVICE = """
import sys
import anyio
from cqrsbus import Broker, Bus

async def main():
    release = anyio.Event()
    async with Broker("tcp://127.0.0.1:0") as broker:
        bus = Bus("service", broker.url)

        @bus.command_handler("c")
        async def do(number: int) -> None:
            print("started", flush=True)
            await release.wait()
            print("finished", flush=True)

        @bus.event_handler("release")
        async def let_go(number: int) -> None: ...

        async with Bus("sender", broker.url) as sender, anyio.create_task_group() as tasks:
            tasks.start_soon(bus.run)
            while bus.status != "connected":
                await anyio.lowlevel.checkpoint()
            await sender.send("c", 1)
            router = broker._exchange.router
            while not any(peer.draining for peer in router._peers.values()):
                await anyio.lowlevel.checkpoint()
            release.set()
        print("left", flush=True)

backend, uvloop = sys.argv[1], sys.argv[2] == "True"
anyio.run(main, backend=backend, backend_options={"use_uvloop": True} if uvloop else {})
"""


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_finishes_what_was_started(
    signal_: signal.Signals, anyio_backend: tuple[str, dict[str, bool]]
) -> None:
    name, options = anyio_backend
    with anyio.fail_after(20):
        command = [sys.executable, "-c", _SERVICE, name, str(options.get("use_uvloop", False))]
        async with await anyio.open_process(command, stderr=None) as process:
            assert process.stdout is not None
            output = BufferedByteReceiveStream(process.stdout)
            assert await output.receive_until(b"\n", 100) == b"started"
            process.send_signal(signal_)
            assert await output.receive_until(b"\n", 100) == b"finished"
            assert await output.receive_until(b"\n", 100) == b"left"
            assert await process.wait() == 0


async def test_a_cancelled_run_finishes_what_was_started(url: str) -> None:
    bus, started, release, finished = Bus("service", url), anyio.Event(), anyio.Event(), list[int]()

    @bus.command_handler("c")
    async def work(number: int) -> None:
        started.set()
        await release.wait()
        finished.append(number)

    with anyio.fail_after(10):
        async with Bus("sender", url) as sender, anyio.create_task_group() as tasks:
            tasks.start_soon(bus.run)
            while bus.status != "connected":
                await checkpoint()
            await sender.send("c", 1)
            await started.wait()
            tasks.cancel_scope.cancel()
            assert finished == []
            release.set()
    assert finished == [1]
    assert bus.status == "closed"


async def test_a_cancelled_broker_answers_what_is_open() -> None:
    broker, service = Broker("tcp://127.0.0.1:0"), Bus("service")
    broker_scope, listening = anyio.CancelScope(), anyio.Event()
    started, release = anyio.Event(), anyio.Event()

    @service.query_handler("q")
    async def answer(number: int) -> int:
        started.set()
        await release.wait()
        return number

    async def run_broker() -> None:
        with broker_scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(broker.run)
                while True:
                    with suppress(RuntimeError):
                        service.url = broker.url
                        break
                    await checkpoint()
                listening.set()

    async def cancel_broker() -> None:
        await started.wait()
        broker_scope.cancel()
        await anyio.wait_all_tasks_blocked()
        release.set()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_broker)
            await listening.wait()
            async with service:
                tasks.start_soon(cancel_broker)
                assert await service.ask("q", 1, returns=int) == 1


async def test_nothing_is_left_in_the_file_system(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with Broker(f"unix://{tmp_path}/s") as broker, Bus("guest", broker.url):
            assert os.listdir(tmp_path)
    assert os.listdir(tmp_path) == []
