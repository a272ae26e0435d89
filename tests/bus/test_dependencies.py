"""Dependencies, while messages are handled: in which order, how often, and what becomes of them when things fail."""

import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from typing import Annotated, Any
from unittest.mock import AsyncMock, Mock

import anyio
import anyio.lowlevel
import pytest

from cqrsbus import Bus, Command, Context, Depends, Event, Handling, NextHandling, Query, RemoteError, get_context
from cqrsbus.bus.context import Context as BusContext
from cqrsbus.bus.dependencies import Dependencies
from cqrsbus.bus.handler import HandlerKind
from cqrsbus.bus.signature import analyse

pytestmark = pytest.mark.anyio


class Store(Command, topic="store"):
    word: str = ""


class Find(Query[str], topic="find"):
    word: str = ""


class Stored(Event, topic="stored"):
    word: str = ""


@pytest.fixture
def bus() -> Bus:
    return Bus("shop", "memory:")


@asynccontextmanager
async def running(bus: Bus) -> AsyncGenerator[Bus]:
    with anyio.fail_after(10):
        async with bus:
            yield bus


class Log:
    """What happened, and dependencies that note it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)

    def sync_generator(self, name: str) -> Callable[[], Iterator[str]]:
        def made() -> Iterator[str]:
            self.note(f"{name} made")
            try:
                yield name
            except BaseException as error:
                self.note(f"{name} saw {kind(error)}")
                raise
            finally:
                self.note(f"{name} cleaned up")

        return made

    def async_generator(self, name: str) -> Callable[[], AsyncIterator[str]]:
        async def made() -> AsyncIterator[str]:
            self.note(f"{name} made")
            try:
                yield name
            except BaseException as error:
                self.note(f"{name} saw {kind(error)}")
                raise
            finally:
                self.note(f"{name} cleaned up")

        return made


def kind(error: BaseException) -> str:
    name = type(error).__name__
    return "cancellation" if name in ("Cancelled", "CancelledError") else name


@pytest.fixture
def log() -> Log:
    return Log()


class TestWhatIsMade:
    async def test_of_every_kind(self, bus: Bus, log: Log) -> None:
        def sync() -> str:
            return "sync"

        async def asynchronous() -> str:
            return "async"

        class Made:
            def __init__(self) -> None:
                self.name = "class"

        class Instance:
            async def __call__(self) -> str:
                return "instance"

        @contextmanager
        def managed() -> Generator[str]:
            yield "manager"

        @asynccontextmanager
        async def async_managed() -> AsyncGenerator[str]:
            yield "async manager"

        @bus.query_handler()
        async def find(
            query: Find,
            a: Annotated[str, Depends(sync)],
            b: Annotated[str, Depends(asynchronous)],
            c: Annotated[Made, Depends(Made)],
            d: Annotated[str, Depends(Instance())],
            e: Annotated[str, Depends(log.sync_generator("generator"))],
            f: Annotated[str, Depends(log.async_generator("async generator"))],
            g: Annotated[str, Depends(managed)],
            h: Annotated[str, Depends(async_managed)],
        ) -> str:
            return f"{query.word}, {a}, {b}, {c.name}, {d}, {e}, {f}, {g}, {h}"

        async with running(bus):
            found = await bus.ask(Find(word="word"))
        assert found == "word, sync, async, class, instance, generator, async generator, manager, async manager"

    async def test_a_sync_one_runs_in_a_thread_and_sees_the_context(self, bus: Bus) -> None:
        threads: list[int] = []

        def made() -> str:
            threads.append(threading.get_ident())
            return Context.current().topic

        @bus.query_handler()
        async def find(query: Find, topic: Annotated[str, Depends(made)]) -> str:
            return topic

        async with running(bus):
            assert await bus.ask(Find()) == "find"
        assert threads != [threading.get_ident()]

    async def test_a_sync_handler_and_what_it_needs_share_a_thread(self, bus: Bus) -> None:
        def made() -> int:
            return threading.get_ident()

        def made_of(thread: Annotated[int, Depends(made)]) -> list[int]:
            return [thread, threading.get_ident()]

        @bus.query_handler("threads")
        def find(word: str, threads: Annotated[list[int], Depends(made_of)]) -> list[int]:
            return [*threads, threading.get_ident()]

        async with running(bus):
            threads = await bus.ask("threads", "x", returns=list[int])
        assert len(set(threads)) == 1
        assert threads[0] != threading.get_ident()

    async def test_a_sync_handler_may_need_what_is_asynchronous(self, bus: Bus, log: Log) -> None:
        @bus.command_handler()
        def store(command: Store, name: Annotated[str, Depends(log.async_generator("a"))]) -> None:
            log.note(f"handled with {name}")

        async with running(bus):
            await bus.send(Store(), wait=True)
        assert log.lines == ["a made", "handled with a", "a cleaned up"]

    async def test_a_sync_one_that_returns_a_coroutine_is_told_of(self, bus: Bus) -> None:
        async def asynchronous() -> str:
            return "async"

        hidden: Callable[[], Any] = lambda: asynchronous()  # noqa: E731

        @bus.query_handler()
        async def find(query: Find, a: Annotated[str, Depends(hidden)]) -> str:
            return a

        @bus.query_handler("in.a.thread")
        def find_in_a_thread(query: Find, a: Annotated[str, Depends(hidden)]) -> str:
            return a

        async with running(bus):
            for topic in ("find", "in.a.thread"):
                with pytest.raises(RemoteError, match=r"test_dependencies\.py:\d+\) returned a coroutine"):
                    await bus.ask(topic, Find(), returns=str)

    async def test_a_mock_may_take_the_place_of_one(self, bus: Bus) -> None:
        def real() -> str:
            return "real"

        @bus.query_handler()
        async def find(query: Find, a: Annotated[str, Depends(real)]) -> str:
            return a

        mocks = [AsyncMock(return_value="mock"), Mock(return_value="mock")]
        async with running(bus):
            for mock in mocks:
                with bus.override_dependency(real, mock):
                    assert await bus.ask(Find()) == "mock"
        for mock in mocks:
            mock.assert_called_once_with()

    async def test_it_may_take_the_message_the_context_and_others(self, bus: Bus) -> None:
        class Words(Command):
            word: str = ""

        class Shout(Words, topic="shout"):
            pass

        seen: list[str] = []

        def upper(message: Words, /, *, mark: str = "!") -> str:
            return message.word.upper() + mark

        async def line(ctx: Context | None, upper: Annotated[str, Depends(upper)]) -> str:
            assert ctx is not None
            return f"{ctx.topic}: {upper}"

        @bus.command_handler()
        async def shout(ctx: Context, *, line: Annotated[str, Depends(line)], command: Shout) -> None:
            assert ctx is get_context()
            seen.append(f"{command.word} {line}")

        async with running(bus):
            await bus.send(Shout(word="hey"), wait=True)
        assert seen == ["hey shout: HEY!"]

    async def test_values_go_by_what_is_depended_on_never_by_names(self, bus: Bus) -> None:
        def replica() -> str:
            return "replica"

        def primary() -> str:
            return "primary"

        def writer(db: Annotated[str, Depends(primary)], query: str = "a default") -> str:
            return f"{query} for {db}"

        @bus.query_handler()
        async def find(
            query: Find, db: Annotated[str, Depends(replica)], writer: Annotated[str, Depends(writer)]
        ) -> str:
            return f"{db}, {writer}"

        async with running(bus):
            assert await bus.ask(Find()) == "replica, a default for primary"

    async def test_the_message_is_the_one_that_middleware_passed_on(self, bus: Bus) -> None:
        def word_of(query: Find) -> str:
            return query.word

        @bus.query_handler()
        async def find(query: Find, word: Annotated[str, Depends(word_of)]) -> str:
            return word

        @bus.handling_middleware
        async def change(handling: Handling, call_next: NextHandling) -> Any:
            return await call_next(replace(handling, message=Find(word="changed")))

        async with running(bus):
            assert await bus.ask(Find(word="asked")) == "changed"


class TestHowOften:
    async def test_once_per_message_however_many_need_it(self, bus: Bus) -> None:
        count = 0

        async def counted() -> int:
            nonlocal count
            count += 1
            return count

        async def left(counted: Annotated[int, Depends(counted)]) -> int:
            return counted

        async def right(
            counted: Annotated[int, Depends(counted)], fresh: Annotated[int, Depends(counted, use_cache=False)]
        ) -> list[int]:
            return [counted, fresh]

        @bus.query_handler("count")
        async def find(
            word: str,
            a: Annotated[int, Depends(left)],
            b: Annotated[list[int], Depends(right)],
            c: Annotated[int, Depends(counted)],
        ) -> list[int]:
            return [a, *b, c]

        async with running(bus):
            assert await bus.ask("count", "x", returns=list[int]) == [1, 1, 2, 1]
            assert await bus.ask("count", "x", returns=list[int]) == [3, 3, 4, 3]

    async def test_two_messages_at_once_have_their_own(self, bus: Bus) -> None:
        both = anyio.Event()
        waiting = 0

        async def made(query: Find) -> str:
            nonlocal waiting
            waiting += 1
            if waiting == 2:
                both.set()
            await both.wait()
            return query.word

        @bus.query_handler()
        async def find(query: Find, word: Annotated[str, Depends(made)]) -> str:
            return word

        answers: dict[str, str] = {}

        async def ask(word: str) -> None:
            answers[word] = await bus.ask(Find(word=word))

        async with running(bus), anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "a")
            tasks.start_soon(ask, "b")
        assert answers == {"a": "a", "b": "b"}


class TestCleaningUp:
    def needing(self, bus: Bus, log: Log, handle: Callable[[Store], Any]) -> None:
        inner, outer = log.sync_generator("sync"), log.async_generator("async")

        async def between(outer: Annotated[str, Depends(outer)]) -> str:
            return outer

        @bus.command_handler(on_cancel="cancel")
        async def store(command: Store, a: Annotated[str, Depends(between)], b: Annotated[str, Depends(inner)]) -> None:
            log.note("handler")
            await handle(command)

    async def test_the_last_first_and_before_the_message_is_settled(self, bus: Bus, log: Log) -> None:
        async def handle(command: Store) -> None: ...

        self.needing(bus, log, handle)
        async with running(bus):
            await bus.send(Store(), wait=True)
            log.note("settled")
        assert log.lines == [
            *("async made", "sync made", "handler"),
            *("sync cleaned up", "async cleaned up", "settled"),
        ]

    async def test_what_the_handler_raises_is_seen(self, bus: Bus, log: Log) -> None:
        async def handle(command: Store) -> None:
            raise ValueError("no room")

        self.needing(bus, log, handle)
        async with running(bus):
            with pytest.raises(RemoteError, match="no room"):
                await bus.send(Store(), wait=True)
        assert log.lines[3:] == ["sync saw ValueError", "sync cleaned up", "async saw ValueError", "async cleaned up"]

    async def test_a_cancelled_handler_is_cleaned_up_after(self, bus: Bus, log: Log) -> None:
        started, ended = anyio.Event(), anyio.Event()

        async def handle(command: Store) -> None:
            started.set()
            try:
                await anyio.sleep_forever()
            finally:
                ended.set()

        self.needing(bus, log, handle)
        async with running(bus), anyio.create_task_group() as tasks:

            async def send() -> None:
                await bus.send(Store(), wait=True)

            tasks.start_soon(send)
            await started.wait()
            tasks.cancel_scope.cancel()
        assert ended.is_set()
        assert log.lines[3:] == [
            *("sync saw cancellation", "sync cleaned up"),
            *("async saw cancellation", "async cleaned up"),
        ]

    async def test_a_caller_that_leaves_while_they_are_made(self, bus: Bus, log: Log) -> None:
        begun, cleaned_up = anyio.Event(), anyio.Event()

        async def watched(a: Annotated[str, Depends(log.sync_generator("a"))]) -> AsyncIterator[str]:
            try:
                yield a
            finally:
                cleaned_up.set()

        async def never(watched: Annotated[str, Depends(watched)]) -> str:
            begun.set()
            await anyio.sleep_forever()
            raise AssertionError

        @bus.query_handler()
        async def find(query: Find, never: Annotated[str, Depends(never)]) -> str:
            log.note("handler")
            return never

        async with running(bus), anyio.create_task_group() as tasks:
            tasks.start_soon(bus.ask, Find())
            await begun.wait()
            tasks.cancel_scope.cancel()
        async with running(bus):
            await cleaned_up.wait()
        assert log.lines == ["a made", "a saw cancellation", "a cleaned up"]

    async def test_a_caller_that_leaves_while_a_thread_makes_one(self, bus: Bus, log: Log) -> None:
        begun, cleaned_up, go_on = anyio.Event(), anyio.Event(), threading.Event()

        def slow() -> Iterator[str]:
            anyio.from_thread.run_sync(begun.set)
            go_on.wait(5)
            log.note("made")
            try:
                yield "slow"
            finally:
                log.note("cleaned up")
                anyio.from_thread.run_sync(cleaned_up.set)

        @bus.query_handler()
        async def find(query: Find, slow: Annotated[str, Depends(slow)]) -> str:
            log.note("handler")
            return slow

        async with running(bus):
            with anyio.CancelScope() as leaving:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(bus.ask, Find())
                    await begun.wait()
                    leaving.cancel()
            go_on.set()
            await cleaned_up.wait()
        assert log.lines == ["made", "cleaned up"], "the handler has not begun"

    async def test_a_child_that_fails_is_told_to_all_that_is_around(self, bus: Bus, log: Log) -> None:
        async def child() -> None:
            raise ValueError("the child's")

        @bus.handling_middleware
        async def note(handling: Handling, call_next: NextHandling) -> Any:
            try:
                return await call_next(handling)
            except ValueError as error:
                log.note(f"middleware saw {error}")
                raise

        @bus.command_handler()
        async def store(command: Store, ctx: Context, a: Annotated[str, Depends(log.async_generator("a"))]) -> None:
            ctx.start_soon(child)
            await anyio.sleep_forever()

        async with running(bus):
            with pytest.raises(RemoteError, match="the child's"):
                await bus.send(Store(), wait=True)
        assert log.lines == ["a made", "a saw ValueError", "a cleaned up", "middleware saw the child's"]

    async def test_a_caller_that_leaves_stops_the_children_too(self, bus: Bus, log: Log) -> None:
        started = anyio.Event()
        ended = anyio.Event()

        async def child() -> None:
            started.set()
            try:
                await anyio.sleep_forever()
            finally:
                log.note("child ended")

        async def last() -> AsyncIterator[None]:
            try:
                yield
            finally:
                log.note("cleaned up")
                ended.set()

        @bus.handling_middleware
        async def passing(handling: Handling, call_next: NextHandling) -> Any:
            return await call_next(handling)

        @bus.query_handler()
        async def find(query: Find, ctx: Context, last: Annotated[None, Depends(last)]) -> str:
            ctx.start_soon(child)
            return "found"

        async with running(bus):
            with anyio.CancelScope() as leaving:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(bus.ask, Find())
                    await started.wait()
                    leaving.cancel()
            await ended.wait()
        assert log.lines == ["child ended", "cleaned up"]

    async def test_one_that_fails_leaves_the_others_clean(self, bus: Bus, log: Log) -> None:
        def broken() -> str:
            raise LookupError("not to be had")

        @bus.command_handler()
        async def store(
            command: Store,
            a: Annotated[str, Depends(log.async_generator("a"))],
            b: Annotated[str, Depends(broken)],
        ) -> None:
            log.note("handler")

        async with running(bus):
            with pytest.raises(RemoteError, match="not to be had"):
                await bus.send(Store(), wait=True)
        assert log.lines == ["a made", "a saw LookupError", "a cleaned up"]

    @pytest.mark.parametrize("raised", [None, ValueError("the handler's")])
    async def test_what_clean_up_raises_fails_the_message(self, bus: Bus, raised: Exception | None) -> None:
        def failing() -> Iterator[None]:
            try:
                yield
            finally:
                raise OSError("not committed")

        @bus.query_handler()
        async def find(query: Find, failing: Annotated[None, Depends(failing)]) -> str:
            if raised is not None:
                raise raised
            return "found"

        async with running(bus):
            with pytest.raises(RemoteError, match="not committed"):
                await bus.ask(Find())

    async def test_a_failure_cannot_be_kept_from_the_caller(self, bus: Bus) -> None:
        def silent() -> Iterator[None]:
            with suppress(ValueError):
                yield

        @bus.query_handler()
        async def find(query: Find, silent: Annotated[None, Depends(silent)]) -> str:
            raise ValueError("to be told")

        async with running(bus):
            with pytest.raises(RemoteError, match="to be told"):
                await bus.ask(Find())

    async def test_children_end_before_it(self, bus: Bus, log: Log) -> None:
        async def child() -> None:
            await anyio.lowlevel.checkpoint()
            log.note("child")

        @bus.command_handler()
        async def store(command: Store, ctx: Context, a: Annotated[str, Depends(log.async_generator("a"))]) -> None:
            ctx.start_soon(child)

        async with running(bus):
            await bus.send(Store(), wait=True)
        assert log.lines == ["a made", "child", "a cleaned up"]

    async def test_middleware_is_around_it(self, bus: Bus, log: Log) -> None:
        @bus.command_handler()
        async def store(command: Store, a: Annotated[str, Depends(log.async_generator("a"))]) -> None:
            log.note("handler")

        @bus.handling_middleware
        async def twice(handling: Handling, call_next: NextHandling) -> Any:
            log.note("before")
            await call_next(handling)
            await call_next(handling)
            log.note("after")

        async with running(bus):
            await bus.send(Store(), wait=True)
        once = ["a made", "handler", "a cleaned up"]
        assert log.lines == ["before", *once, *once, "after"]

    async def test_of_a_handler_without_a_scope(self, log: Log) -> None:
        async def store(command: Store, a: Annotated[str, Depends(log.async_generator("a"))]) -> str:
            return a

        node = analyse(store, HandlerKind.COMMAND).dependencies
        assert node is not None
        made = Dependencies(node, None, anyio.CapacityLimiter(1))

        async def run(call: Callable[[], Any]) -> object:
            return await call()

        assert await made.run(Store(), BusContext(message_id="m", topic="store"), run) == "a"
        assert log.lines == ["a made", "a cleaned up"]


class TestStreams:
    async def test_they_are_kept_until_the_stream_ends(self, bus: Bus, log: Log) -> None:
        @bus.query_handler("words")
        async def words(
            first: str,
            a: Annotated[str, Depends(log.async_generator("a"))],
            b: Annotated[str, Depends(log.sync_generator("b"))],
        ) -> AsyncIterator[str]:
            yield first
            log.note("between")
            yield a + b

        async with running(bus):
            async with bus.stream("words", "first", returns=str) as items:
                assert [item async for item in items] == ["first", "ab"]
            log.note("ended")
        assert log.lines == ["a made", "b made", "between", "b cleaned up", "a cleaned up", "ended"]

    async def test_a_caller_that_leaves_cleans_up(self, bus: Bus, log: Log) -> None:
        cleaned_up = anyio.Event()

        async def watched(a: Annotated[str, Depends(log.sync_generator("a"))]) -> AsyncIterator[str]:
            try:
                yield a
            finally:
                cleaned_up.set()

        @bus.query_handler("words")
        async def words(first: str, a: Annotated[str, Depends(watched)]) -> AsyncIterator[str]:
            yield first
            await anyio.sleep_forever()

        async with running(bus):
            async with bus.stream("words", "first", returns=str) as items:
                assert await anext(aiter(items)) == "first"
            await cleaned_up.wait()
        assert log.lines[-1] == "a cleaned up"

    async def test_what_the_stream_raises_is_seen_and_told(self, bus: Bus, log: Log) -> None:
        @bus.query_handler("words")
        async def words(first: str, a: Annotated[str, Depends(log.async_generator("a"))]) -> AsyncIterator[str]:
            yield first
            raise ValueError("no more")

        @bus.handling_middleware
        async def shout(handling: Handling, call_next: NextHandling) -> Any:
            answers: AsyncIterator[str] = await call_next(handling)

            async def louder() -> AsyncIterator[str]:
                async for answer in answers:
                    yield answer.upper()

            return louder()

        taken: list[str] = []

        async def take() -> None:
            async with bus.stream("words", "first", returns=str) as items:
                async for item in items:
                    taken.append(item)  # noqa: PERF401  # what came before the failure is kept

        async with running(bus):
            with pytest.raises(RemoteError, match="no more"):
                await take()
        assert taken == ["FIRST"]
        assert log.lines == ["a made", "a saw ValueError", "a cleaned up"]


class TestOverrides:
    async def test_before_and_while_the_bus_runs(self, bus: Bus) -> None:
        def real() -> str:
            return "real"

        async def between(real: Annotated[str, Depends(real)]) -> str:
            return f"<{real}>"

        @bus.query_handler()
        async def find(query: Find, between: Annotated[str, Depends(between)]) -> str:
            return between

        bus.dependency_overrides[real] = lambda: "fake"
        async with running(bus):
            assert await bus.ask(Find()) == "<fake>"
            del bus.dependency_overrides[real]
            assert await bus.ask(Find()) == "<real>"
            with bus.override_dependency(real, lambda: "other"):
                assert await bus.ask(Find()) == "<other>"
                with suppress(ZeroDivisionError), bus.override_dependency(real, lambda: "inner"):
                    assert await bus.ask(Find()) == "<inner>"
                    raise ZeroDivisionError
                assert await bus.ask(Find()) == "<other>"
            assert await bus.ask(Find()) == "<real>"

    async def test_they_are_those_of_one_bus(self) -> None:
        def real() -> str:
            return "real"

        async def find(query: Find, word: Annotated[str, Depends(real)]) -> str:
            return word

        one, two = Bus("one", "memory:"), Bus("two", "memory:")
        for each in (one, two):
            each.query_handler()(find)
        one.dependency_overrides[real] = lambda: "fake"
        async with running(one), running(two):
            assert await one.ask(Find()) == "fake"
            assert await two.ask(Find()) == "real"

    async def test_a_replacement_has_dependencies_of_its_own_and_may_use_the_real_one(self, bus: Bus, log: Log) -> None:
        def real() -> str:
            return "real"

        async def instead(
            real: Annotated[str, Depends(real)], a: Annotated[str, Depends(log.async_generator("a"))]
        ) -> str:
            return f"{a} around {real}"

        @bus.query_handler()
        async def find(
            query: Find, one: Annotated[str, Depends(real)], two: Annotated[str, Depends(real, use_cache=False)]
        ) -> str:
            return f"{one}; {two}"

        bus.dependency_overrides[real] = instead
        async with running(bus):
            assert await bus.ask(Find()) == "a around real; a around real"
        assert log.lines == ["a made", "a cleaned up"]

    async def test_one_that_wants_another_message_fails_the_bus_or_the_message(self, bus: Bus) -> None:
        def real() -> str:
            return "real"

        def wrong(command: Store) -> str:
            return command.word

        @bus.query_handler()
        async def find(query: Find, one: Annotated[str, Depends(real)]) -> str:
            return one

        with (
            bus.override_dependency(real, wrong),
            pytest.raises(TypeError, match=r"wrong .* is a dependency of .*find"),
        ):
            async with running(bus):
                pytest.fail("it was entered")
        async with running(bus):
            with bus.override_dependency(real, wrong), pytest.raises(RemoteError, match="wrong"):
                await bus.ask(Find())
            assert await bus.ask(Find()) == "real"
