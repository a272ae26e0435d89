"""Queries: answers find their asker, in time or not at all, and errors say what happened."""

import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from cqrsbus import (
    Bus,
    BusError,
    Context,
    DeadlineExceededError,
    Gathering,
    HandlerLostError,
    InvalidMessageError,
    InvalidTopicError,
    NoHandlerError,
    PayloadTooLargeError,
    Query,
    RemoteError,
    Stream,
)

pytestmark = pytest.mark.anyio


class Found(Query[int], topic="email.count"):
    subject: str


@dataclass
class Question:
    asker: str
    number: int


#: Queries from this number on are left by who asks them.
FIRST_TO_BE_LEFT = 1001


class ManyWays:
    """A query whose number says how it ends: one answers, one fails, one takes its time until it is left."""

    def __init__(self, url: str) -> None:
        self.answering, self.asking = Bus("answering", url), Bus("asking", url)
        self.stuck = 0
        self.stuck_to_be_left, self.stopped = anyio.Semaphore(0), anyio.Semaphore(0)
        self.outcomes: dict[int, object] = {}
        self.answering.query_handler("q", concurrency=300)(self.answer)

    async def answer(self, number: int) -> str:
        if number % 4 == 0:
            raise KeyError(str(number))
        if number % 4 == 1:
            self.stuck += 1
            if number > FIRST_TO_BE_LEFT:
                self.stuck_to_be_left.release()
            try:
                await anyio.sleep_forever()
            finally:
                self.stopped.release()
        if number % 4 == 2:
            await anyio.lowlevel.checkpoint()
        return "x" * number * 20

    async def ask(self, number: int, timeout: float = 30) -> None:
        try:
            self.outcomes[number] = await self.asking.ask("q", number, returns=str, timeout=timeout)
        except BusError as error:
            self.outcomes[number] = error

    async def leave(self, number: int, scope: anyio.CancelScope) -> None:
        with scope:
            await self.ask(number)

    def check(self, number: int) -> None:
        outcome = self.outcomes[number]
        if number % 4 == 0:
            assert isinstance(outcome, RemoteError)
            assert outcome.message == repr(str(number))
        elif number % 4 == 1:
            assert isinstance(outcome, DeadlineExceededError)
        else:
            assert outcome == "x" * number * 20


async def test_of_many_asks_each_ends_in_its_own_way(url: str) -> None:
    """What goes together on the way is one thing to nobody."""
    many, left = ManyWays(url), [anyio.CancelScope() for _ in range(20)]
    with anyio.fail_after(30):
        async with many.answering, many.asking:
            async with anyio.create_task_group() as tasks:
                for number in range(200):
                    tasks.start_soon(many.ask, number, 0.5 if number % 4 == 1 else 30)
                    if number % 10 == 5:
                        tasks.start_soon(many.leave, FIRST_TO_BE_LEFT + 4 * number, left[number // 10])
                for _ in left:
                    await many.stuck_to_be_left.acquire()
                for scope in left:
                    scope.cancel()
            # Of those whose time ran out all were stopped that were started in time.
            for _ in range(many.stuck):
                await many.stopped.acquire()
    assert many.outcomes.keys() == set(range(200))
    for number in range(200):
        many.check(number)


async def test_fifty_asks_at_once_never_mix_and_reach_their_asker_alone(url: str) -> None:
    answering = Bus("answering", url)
    every_one_asked, asked = anyio.Event(), 0

    @answering.query_handler("q")
    async def answer(question: Question) -> Question:
        nonlocal asked
        asked += 1
        if asked == 50:
            every_one_asked.set()
        # All are open at once, and end in another order than they came in.
        await every_one_asked.wait()
        for _ in range(50 - question.number):
            await anyio.lowlevel.checkpoint()
        return question

    async def ask(bus: Bus, number: int) -> None:
        question = Question(bus.name, number)
        assert await bus.ask("q", question, returns=Question) == question

    with anyio.fail_after(10):
        async with answering, Bus("one", url) as one, Bus("two", url) as two, anyio.create_task_group() as tasks:
            for number in range(25):
                tasks.start_soon(ask, one, number)
                tasks.start_soon(ask, two, number)
    assert asked == 50


async def test_an_asker_that_handles_the_topic_too_is_served(url: str) -> None:
    bus = Bus("both", url)

    @bus.query_handler()
    async def count(query: Found) -> int:
        return len(query.subject)

    with anyio.fail_after(10):
        async with bus:
            assert await bus.ask(Found(subject="four")) == 4


async def test_a_handler_may_ask_its_own_service(url: str) -> None:
    bus = Bus("both", url)

    @bus.query_handler("factorial")
    async def factorial(number: int) -> int:
        return 1 if number < 2 else number * await bus.ask("factorial", number - 1, returns=int)

    with anyio.fail_after(10):
        async with bus:
            assert await bus.ask("factorial", 20, returns=int) == 2432902008176640000


async def test_a_sync_handler_answers_from_a_thread(url: str) -> None:
    bus, here = Bus("sync", url), threading.get_ident()

    @bus.query_handler("where")
    def where(nothing: None) -> int:
        return threading.get_ident()

    with anyio.fail_after(10):
        async with bus:
            assert await bus.ask("where", returns=int) != here


async def test_nobody_answers(url: str) -> None:
    with anyio.fail_after(10):
        async with Bus("asker", url) as bus:
            with pytest.raises(NoHandlerError) as caught:
                await bus.ask("nobody.here", 1)
            with pytest.raises(NoHandlerError):
                await bus.send("nobody.here", 1)
    assert caught.value.topic == "nobody.here"


async def test_no_answer_in_time(url: str) -> None:
    bus, cancelled = Bus("slow", url), anyio.Event()

    @bus.query_handler("q")
    async def answer(number: int) -> int:
        try:
            await anyio.sleep_forever()
        except BaseException:
            cancelled.set()
            raise
        return number

    with anyio.fail_after(10):
        async with bus:
            before = anyio.current_time()
            with pytest.raises(DeadlineExceededError) as caught:
                await bus.ask("q", 1, timeout=0.3)
            # Timers may be some milliseconds early.
            assert anyio.current_time() - before > 0.29
            await cancelled.wait()
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.topic == "q"


async def test_the_callers_own_scope_is_a_deadline_too(url: str) -> None:
    bus, deadlines = Bus("slow", url), list[float | None]()

    @bus.query_handler("q")
    async def answer(number: int, ctx: Context) -> int:
        deadlines.append(ctx.remaining())
        return number

    with anyio.fail_after(10):
        async with bus:
            with anyio.fail_after(1.0):
                await bus.ask("q", 1)
            await bus.ask("q", 1)
    assert deadlines[0] is not None
    assert deadlines[1] is not None
    assert deadlines[0] <= 1.0 < deadlines[1] <= 3.0


async def test_nested_calls_inherit_the_deadline(url: str) -> None:
    bus, left = Bus("chain", url), dict[str, float | None]()

    @bus.query_handler("outer")
    async def outer(number: int, ctx: Context) -> int:
        left["outer"] = ctx.remaining()
        return await bus.ask("inner", number, returns=int, timeout=60)

    @bus.query_handler("inner")
    def inner(number: int, ctx: Context) -> int:
        left["inner"] = ctx.remaining()
        return number

    with anyio.fail_after(10):
        async with bus:
            assert await bus.ask("outer", 5, returns=int, timeout=2) == 5
    assert left["inner"] is not None
    assert left["outer"] is not None
    assert left["inner"] <= left["outer"] <= 2


async def test_the_chain_of_messages_can_be_followed(url: str) -> None:
    bus, seen = Bus("chain", url), dict[str, Context]()
    all_seen = anyio.Event()

    @bus.query_handler("ask")
    async def answer(number: int, ctx: Context) -> int:
        seen["ask"] = ctx
        await bus.send("do", number)
        return number

    @bus.command_handler("do")
    async def do(number: int, ctx: Context) -> None:
        seen["do"] = ctx
        await bus.publish("done", number)

    @bus.event_handler("done")
    async def done(number: int, ctx: Context) -> None:
        seen["done"] = ctx
        all_seen.set()

    with anyio.fail_after(10):
        async with bus, Bus("start", url) as start:
            await start.ask("ask", 1, headers={"tenant": "blue"})
            await all_seen.wait()
    first = seen["ask"]
    assert (first.sender, first.headers, first.causation_id) == ("start", {"tenant": "blue"}, None)
    assert first.correlation_id == first.message_id
    assert {context.correlation_id for context in seen.values()} == {first.message_id}
    assert seen["do"].causation_id == first.message_id
    assert seen["done"].causation_id == seen["do"].message_id
    assert seen["done"].sender == "chain"
    assert seen["done"].attempt == 1


class OddError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


@pytest.mark.parametrize(
    ("error", "type_name", "said"),
    [
        (LookupError("no such mail"), "LookupError", "no such mail"),
        (ValueError(), "ValueError", ""),
        (OSError("caf\udce9"), "OSError", "caf\\udce9"),
        (ValueError("ü" * 5000), "ValueError", "ü" * 1000),
        (OddError(), "OddError", "its text could not be made"),
        (ExceptionGroup("both", [ValueError("a")]), "ExceptionGroup", "both (1 sub-exception): ValueError: a"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_the_handler_raises_is_told(url: str, error: Exception, type_name: str, said: str) -> None:
    bus = Bus("failing", url)

    @bus.query_handler("q")
    async def answer(number: int) -> int:
        raise error

    with anyio.fail_after(10):
        async with bus:
            with pytest.raises(RemoteError):
                await bus.ask("q", 0)
            with pytest.raises(RemoteError) as caught:
                await bus.ask("q", 1)
    assert (caught.value.type, caught.value.message, caught.value.topic) == (type_name, said, "q")


async def test_findings_that_do_not_fit_into_a_header_do_not_end_the_handlers_connection(url: str) -> None:
    bus = Bus("strict", url)
    long = "ü" * 190

    @bus.query_handler("q")
    async def answer(numbers: dict[str, dict[str, dict[str, int]]]) -> int:
        return len(numbers)

    with anyio.fail_after(10):
        async with bus, Bus("asker", url) as asker:
            with pytest.raises(InvalidMessageError) as caught:
                await asker.ask("q", {f"{n:03}{long}": {long: {long: "x"}} for n in range(30)})
            assert await asker.ask("q", {}) == 0
    assert 1 <= len(caught.value.entries) < 20


async def test_an_answer_of_another_type_than_asked_for(url: str) -> None:
    bus = Bus("odd", url)

    @bus.query_handler("q")
    async def answer(number: int) -> str:
        return "no number"

    with anyio.fail_after(10):
        async with bus:
            with pytest.raises(InvalidMessageError, match="answer"):
                await bus.ask("q", 1, returns=int)


async def test_what_is_too_large_is_refused_on_either_way(url: str) -> None:
    bus = Bus("large", url)

    @bus.query_handler("q")
    async def answer(size: bytes) -> bytes:
        return b"x" * int(size)

    with anyio.fail_after(10):
        async with bus, Bus("asker", url) as asker:
            with pytest.raises(PayloadTooLargeError):
                await asker.ask("q", b"x" * 1024 * 1024)
            with pytest.raises(PayloadTooLargeError):
                await asker.ask("q", b"2000000")
            with pytest.raises(PayloadTooLargeError):
                await asker.ask("q", b"1", headers={"h": "x" * 9000})
            with pytest.raises(PayloadTooLargeError):
                await asker.ask("q", b"1", headers={"h": "x" * 90_000})
            assert len(await asker.ask("q", b"1000000")) == 1_000_000


@pytest.mark.parametrize("topic", ["", ".", "a..b", "a.*", ">", "a\0b", "a\r\nb", "a b", "ä", "a." * 20 + "a"])
async def test_a_malformed_topic_is_refused_by_name(url: str, topic: str) -> None:
    with anyio.fail_after(10):
        async with Bus("asker", url) as bus:
            for call in (bus.ask, bus.send, bus.publish):
                with pytest.raises(InvalidTopicError):
                    await call(topic, 1)


async def test_text_that_is_none_is_refused_before_it_is_sent(url: str) -> None:
    with anyio.fail_after(10):
        async with Bus("asker", url) as bus:
            with pytest.raises(InvalidMessageError):
                await bus.publish("t", 1, headers={"h": "\udce9"})
            with pytest.raises(InvalidMessageError):
                await bus.publish("t", 1, message_id="\udce9")
            with pytest.raises(InvalidMessageError):
                await bus.publish("t", "\udce9")
            with pytest.raises(NoHandlerError):
                await bus.ask("t", 1)


async def test_the_handler_that_is_gone(url: str) -> None:
    handling, started = Bus("handling", url, drain_timeout=0), anyio.Event()

    @handling.query_handler("q")
    async def answer(number: int) -> int:
        started.set()
        await anyio.sleep_forever()
        return number

    async def ask(bus: Bus) -> None:
        # Which of the two depends on whether the handler could still say that it was cancelled.
        with pytest.raises(BusError) as caught:
            await bus.ask("q", 1)
        errors.append(caught.value)

    errors: list[BusError] = []
    with anyio.fail_after(10):
        async with Bus("asker", url) as asker, anyio.create_task_group() as tasks, handling:
            tasks.start_soon(ask, asker)
            await started.wait()
    assert isinstance(errors[0], HandlerLostError)


async def test_instances_of_any_service_answer_in_turn(url: str) -> None:
    buses = [Bus("one", url), Bus("two", url)]
    for bus in buses:

        @bus.query_handler("who")
        async def who(nothing: None, name: str = bus.name) -> str:
            return name

    with anyio.fail_after(10):
        async with buses[0], buses[1], Bus("asker", url) as asker:
            answers = [await asker.ask("who", returns=str) for _ in range(4)]
    assert answers in (["one", "two"] * 2, ["two", "one"] * 2)


async def test_an_asker_that_leaves_stops_the_work_and_nothing_else(url: str) -> None:
    bus, started, stopped = Bus("handling", url), anyio.Event(), anyio.Event()

    @bus.query_handler("q", concurrency=1)
    async def answer(number: int) -> int:
        if number:
            return number
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()
        return 0

    with anyio.fail_after(10):
        async with bus, Bus("asker", url) as asker:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(asker.ask, "q", 0)
                await started.wait()
                tasks.cancel_scope.cancel()
            await stopped.wait()
            assert await asker.ask("q", 1) == 1
            assert (bus.status, asker.status) == ("connected", "connected")


async def test_who_leaves_a_sync_handler_does_not_take_the_next_caller_along(url: str) -> None:
    bus, started, release, left = Bus("handling", url), anyio.Event(), threading.Event(), anyio.CancelScope()
    waits = anyio.Event()

    @bus.query_handler("q", concurrency=1)
    def answer(number: int) -> int:
        if number == 0:
            anyio.from_thread.run_sync(started.set)
            release.wait(10)
        return number

    @bus.query_handler("tick")
    async def tick(number: int) -> int:
        return number

    async def leave(asker: Bus) -> None:
        with left:
            await asker.ask("q", 0)

    async def ask_next(asker: Bus) -> None:
        waits.set()
        assert await asker.ask("q", 1) == 1
        # The worker's scope would be found cancelled at the first wait of the one after, too.
        assert await asker.ask("q", 2) == 2

    with anyio.fail_after(10):
        async with bus, Bus("asker", url) as asker, anyio.create_task_group() as tasks:
            tasks.start_soon(leave, asker)
            await started.wait()
            tasks.start_soon(ask_next, asker)
            await waits.wait()
            await asker.ask("tick", 1)  # by now the second query waits behind the first
            left.cancel()
            await asker.ask("tick", 2)  # and by now the first was told to stop
            release.set()


async def test_the_default_timeout_is_three_seconds(url: str) -> None:
    bus = Bus("handling", url)

    @bus.query_handler("q")
    async def left(nothing: None, ctx: Context) -> float | None:
        return ctx.remaining()

    with anyio.fail_after(10):
        async with bus:
            seconds = await bus.ask("q", returns=float)
            assert 2 < seconds <= 3
            assert await bus.ask("q", timeout=None) is not None
    # Without a timeout of its own the caller's scope is the limit.


@pytest.mark.parametrize("verb", ["ask", "send", "stream", "gather", "quorum"])
@pytest.mark.parametrize("when", ["meanwhile", "before"])
async def test_a_scope_of_the_callers_own_always_ends_the_call(url: str, verb: str, when: str) -> None:
    bus = Bus("slow", url)

    @bus.query_handler("q")
    async def answer(number: int) -> int:
        await anyio.sleep_forever()
        return number

    @bus.command_handler("c", on_cancel="cancel")
    async def do(number: int) -> None:
        await anyio.sleep_forever()

    async def take(answers: Stream[Any] | Gathering[Any]) -> None:
        async with answers as each:
            async for _ in each:
                pass

    calls: dict[str, Callable[[int], Coroutine[Any, Any, object]]] = {
        "ask": lambda number: bus.ask("q", number),
        "send": lambda number: bus.send("c", number, wait=True),
        "stream": lambda number: take(bus.stream("q", number)),
        "gather": lambda number: take(bus.gather("q", number)),
        "quorum": lambda number: take(bus.gather("q", number, quorum=1)),
    }
    with anyio.fail_after(10):
        async with bus:
            for number in range(20 if when == "meanwhile" else 1):
                # The broker's word that the time is over comes at the same moment.
                with anyio.move_on_after(0.01) as scope:
                    if when == "before":
                        time.sleep(0.02)  # noqa: ASYNC251 - so that the event loop has not seen to its timers
                    await calls[verb](number)
                assert scope.cancelled_caught
