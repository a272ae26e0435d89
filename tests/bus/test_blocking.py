"""The bus for programs without an event loop."""

import inspect
import threading
from collections.abc import AsyncIterator, Iterator
from itertools import islice

import pytest

from cqrsbus.bus.blocking import SyncBus
from cqrsbus.bus.bus import Bus
from cqrsbus.bus.context import Context
from cqrsbus.errors import InvalidTopicError, NoHandlerError, RemoteError
from cqrsbus.links.port import Instance

SECONDS = 10.0


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def bus() -> Bus:
    bus = Bus("sync", "memory:")

    @bus.query_handler("q")
    async def answer(number: int, ctx: Context) -> list[str]:
        return [str(number), ctx.headers.get("tenant", "")]

    @bus.command_handler("c")
    async def fail(text: str) -> None:
        raise LookupError(text)

    @bus.query_handler("s")
    async def count(number: int) -> AsyncIterator[int]:
        for each in range(number):
            yield each

    return bus


@pytest.fixture
def running(bus: Bus, backend: str) -> Iterator[SyncBus]:
    with bus.sync(backend=backend) as b:
        yield b


def test_every_call_of_a_bus_is_there() -> None:
    calls = {"send", "ask", "publish", "subscribe", "stream", "gather", "check", "wait_connected", "status"}
    assert {name for name in vars(SyncBus) if not name.startswith("_")} - {"close"} == calls
    for name in ("send", "ask", "publish"):
        assert inspect.getdoc(getattr(SyncBus, name)) == f"See :meth:`Bus.{name}`."


def test_options_are_passed_on(running: SyncBus) -> None:
    assert running.ask("q", 7, returns=list[str], headers={"tenant": "t"}, timeout=SECONDS) == ["7", "t"]
    with pytest.raises(RemoteError, match="LookupError: text"):
        running.send("c", "text", wait=True, message_id="m-1")
    with running.subscribe("e.*", int, group="g", timeout=SECONDS) as one, running.subscribe("e.>") as two:
        running.publish("e.f", 1, message_id="m-2")
        assert [next(one), next(two)] == [1, 1]


def test_several_answers_are_iterated(running: SyncBus) -> None:
    with running.stream("s", 100, returns=int, timeout=SECONDS) as numbers:
        assert list(numbers) == list(range(100))
    with running.stream("s", 10**9, returns=int, credit=2) as numbers:
        assert list(islice(numbers, 3)) == [0, 1, 2]
    with running.gather("q", 7, returns=list[str], timeout=SECONDS, quorum=1) as replies:
        assert list(replies) == [["7", ""]]
    assert replies.asked == replies.answered == (Instance("sync", running._bus.instance),)
    assert not replies.failed
    assert not replies.missing
    with running.stream("nobody") as nothing, pytest.raises(NoHandlerError):
        next(nothing)


def test_errors_are_those_of_the_bus(running: SyncBus) -> None:
    with pytest.raises(NoHandlerError):
        running.ask("nobody", 1)
    with pytest.raises(InvalidTopicError):
        running.publish("a..b", 1)
    with pytest.raises(InvalidTopicError), running.subscribe("a..b"):
        raise AssertionError


def test_what_the_body_of_a_subscription_raises_leaves_as_it_is(running: SyncBus) -> None:
    with pytest.raises(StopIteration, match="mine"), running.subscribe("e"):
        raise StopIteration("mine")
    with pytest.raises(RuntimeError, match="mine"), running.subscribe("e"):
        raise RuntimeError("mine")


def test_several_threads_take_from_one_subscription(running: SyncBus) -> None:
    taken: list[int] = []
    with running.subscribe("e", int) as numbers:

        def take() -> None:
            taken.append(next(numbers))

        # One generator is for one thread at a time.
        for number in range(3):
            thread = threading.Thread(target=take)
            thread.start()
            running.publish("e", number)
            thread.join(SECONDS)
    assert taken == [0, 1, 2]


@pytest.mark.parametrize("waits", [False, True], ids=["between two events", "while waiting"])
def test_a_thread_that_iterates_ends_when_another_leaves_the_subscription(bus: Bus, backend: str, waits: bool) -> None:
    heard, got_one, go_on = list[int](), threading.Event(), threading.Event()

    def listen() -> None:
        for number in numbers:
            heard.append(number)
            got_one.set()
            assert go_on.wait(SECONDS)

    thread = threading.Thread(target=listen, daemon=True)
    with bus.sync(backend=backend) as b:
        with b.subscribe("e", int) as numbers:
            thread.start()
            b.publish("e", 1)
            assert got_one.wait(SECONDS)
            if waits:
                go_on.set()
                # It cannot be told from outside that it waits; whether or not, it has to end.
                b.ask("q", 1)
        go_on.set()
        thread.join(SECONDS)
        assert not thread.is_alive()
        b.publish("e", 2)
    assert heard == [1]


def test_nothing_goes_once_the_bus_is_left(bus: Bus, backend: str) -> None:
    with bus.sync(backend=backend) as b, b.subscribe("e", int) as numbers:
        b.publish("e", 1)
        assert next(numbers) == 1
    assert b.status == "closed"
    assert list(islice(numbers, 1)) == []
    for call in (b.wait_connected, lambda: b.publish("e", 1), lambda: b.subscribe("e").__enter__()):
        with pytest.raises(RuntimeError):
            call()


def test_it_can_be_entered_again(bus: Bus, backend: str) -> None:
    for _ in range(2):
        with bus.sync(backend=backend) as b:
            assert b.ask("q", 1) == ["1", ""]
