"""Middleware: what it sees, what it may change, in which order, and what is refused."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from cqrsbus import (
    Bus,
    Call,
    CallMiddleware,
    Command,
    Context,
    DeadlineExceededError,
    Event,
    HandlerGroup,
    Handling,
    NextCall,
    NextHandling,
    NoHandlerError,
    Query,
    RemoteError,
    get_context,
)
from cqrsbus.bus.middleware import chain
from cqrsbus.links.port import LinkStatus

pytestmark = pytest.mark.anyio


class Count(Query[int], topic="count"):
    word: str


class Store(Command, topic="store"):
    word: str


class Stored(Event, topic="stored"):
    word: str


class Shop:
    """A bus that answers, and notes what reached its handlers."""

    def __init__(self) -> None:
        self.bus = Bus("shop", "memory:")
        self.handled: list[tuple[str, dict[str, str]]] = []
        self.bus.query_handler()(self.count)
        self.bus.command_handler()(self.store)
        self.bus.event_handler()(self.stored)

    async def count(self, query: Count, ctx: Context) -> int:
        self.handled.append((query.word, dict(ctx.headers)))
        return len(query.word)

    def store(self, command: Store) -> None:
        if not command.word:
            raise ValueError("nothing to store")
        self.handled.append((command.word, {}))

    async def stored(self, event: Stored) -> None:
        self.handled.append((event.word, {}))


class _Opened:
    """Answers, and whether they have been left."""

    def __init__(self, replies: Any) -> None:
        self.replies = replies
        self.left = False
        leave = replies.leave

        def leave_and_note() -> None:
            self.left = True
            leave()

        replies.leave = leave_and_note


@pytest.fixture
def shop() -> Shop:
    return Shop()


@asynccontextmanager
async def running(bus: Bus, *, seconds: float = 10) -> AsyncGenerator[Bus]:
    with anyio.fail_after(seconds):
        async with bus:
            yield bus


class TestAroundCalls:
    async def test_it_sees_every_verb_and_its_answer(self, shop: Shop) -> None:
        seen: list[tuple[str, str, object, Any]] = []

        @shop.bus.call_middleware
        async def note(call: Call, call_next: NextCall) -> Any:
            answer = await call_next(call)
            seen.append((call.verb, call.topic, call.message, answer))
            return answer

        async with running(shop.bus) as bus:
            assert await bus.ask(Count(word="abc")) == 3
            await bus.send("store", Store(word="b"), wait=True)
            await bus.publish("stored", {"word": "c"})
            assert await bus.ask("count", {"word": "de"}, returns=int) == 2
        assert seen == [
            ("ask", "count", Count(word="abc"), 3),
            ("send", "store", Store(word="b"), None),
            ("publish", "stored", {"word": "c"}, None),
            ("ask", "count", {"word": "de"}, 2),
        ]

    @pytest.mark.parametrize("verb", ["stream", "gather"])
    async def test_what_it_opened_and_does_not_return_is_left(self, verb: str, shop: Shop) -> None:
        opened: list[_Opened] = []

        @shop.bus.call_middleware
        async def try_again(call: Call, call_next: NextCall) -> Any:
            opened.append(_Opened(await call_next(call)))
            opened.append(_Opened(await call_next(call)))
            if call.timeout == 1:
                raise LookupError("none of them")
            return opened[-1].replies

        async with running(shop.bus) as bus:
            with pytest.raises(LookupError, match="none of them"):
                async with getattr(bus, verb)(Count(word="abc"), timeout=1):
                    pass
            assert [each.left for each in opened] == [True, True]
            async with getattr(bus, verb)(Count(word="abc")) as answers:
                assert [each.left for each in opened[2:]] == [True, False]
                assert [answer async for answer in answers] == [3]

    @pytest.mark.parametrize("verb", ["stream", "gather"])
    async def test_it_returns_what_it_was_given_of_several_answers(self, verb: str, shop: Shop) -> None:
        @shop.bus.call_middleware
        async def forget(call: Call, call_next: NextCall) -> Any:
            await call_next(call)

        async with running(shop.bus) as bus:
            with pytest.raises(TypeError, match=rf"around bus\.{verb}\(\) returned NoneType for 'count': return what"):
                async with getattr(bus, verb)(Count(word="abc")):
                    pass

    async def test_it_may_name_every_message(self) -> None:
        bus, handled = Bus("shop", "memory:"), list[str]()

        async def note(message: str, ctx: Context) -> Any:
            handled.append(ctx.message_id)
            return 0

        bus.query_handler("asked")(note)
        bus.command_handler("sent")(note)
        bus.event_handler("published")(note)

        @bus.call_middleware
        async def name(call: Call, call_next: NextCall) -> Any:
            return await call_next(replace(call, message_id=f"my-{call.verb}"))

        async with running(bus):
            await bus.publish("published", "a")
            await bus.send("sent", "a", wait=True)
            await bus.ask("asked", "a")
            async with bus.gather("asked", "a") as replies:
                assert [reply async for reply in replies] == [0]
        assert set(handled) == {"my-publish", "my-send", "my-ask", "my-gather"}

    async def test_the_first_declared_is_the_outermost(self, shop: Shop) -> None:
        order: list[str] = []
        for name in "abc":

            async def note(call: Call, call_next: NextCall, name: str = name) -> Any:
                order.append(f"{name}>")
                try:
                    return await call_next(call)
                finally:
                    order.append(f"<{name}")

            shop.bus.call_middleware(note)
        async with running(shop.bus) as bus:
            await bus.ask(Count(word="abc"))
        assert order == ["a>", "b>", "c>", "<c", "<b", "<a"]

    async def test_it_may_change_the_message_the_topic_and_the_headers(self, shop: Shop) -> None:
        @shop.bus.call_middleware
        async def change(call: Call, call_next: NextCall) -> Any:
            call.headers["tenant"] = "7"
            return await call_next(replace(call, topic="count", message=Count(word="changed")))

        given = {"user": "ann"}
        async with running(shop.bus) as bus:
            assert await bus.ask("elsewhere", "x", returns=int, headers=given) == 7
        assert shop.handled == [("changed", {"user": "ann", "tenant": "7"})]
        assert given == {"user": "ann"}

    async def test_it_may_answer_by_itself(self, shop: Shop) -> None:
        @shop.bus.call_middleware
        async def refuse(call: Call, call_next: NextCall) -> Any:
            return 99 if call.verb == "ask" else None

        async with running(shop.bus) as bus:
            assert await bus.ask(Count(word="abc")) == 99
            await bus.send("nobody.there")
        assert shop.handled == []

    async def test_it_may_replace_an_error(self, shop: Shop) -> None:
        @shop.bus.call_middleware
        async def translate(call: Call, call_next: NextCall) -> Any:
            try:
                return await call_next(call)
            except NoHandlerError as error:
                raise LookupError(call.topic) from error

        async with running(shop.bus) as bus:
            with pytest.raises(LookupError, match=r"nobody\.there"):
                await bus.send("nobody.there")

    async def test_it_may_try_again(self, shop: Shop) -> None:
        attempts = 0

        @shop.bus.call_middleware
        async def retry(call: Call, call_next: NextCall) -> Any:
            nonlocal attempts
            attempts += 1
            try:
                return await call_next(replace(call, topic="nobody.there"))
            except NoHandlerError:
                return await call_next(call)

        async with running(shop.bus) as bus:
            assert await bus.ask(Count(word="abc")) == 3
        assert (attempts, len(shop.handled)) == (1, 1)

    async def test_it_may_shorten_the_time_but_not_lengthen_it(self) -> None:
        bus = Bus("slow", "memory:")
        given = dict[str, float | None]()
        left = list[float | None]()

        @bus.query_handler("slow")
        async def slow(kind: str, ctx: Context) -> None:
            left.append(ctx.remaining())

        @bus.call_middleware
        async def change(call: Call, call_next: NextCall) -> Any:
            return await call_next(replace(call, timeout=given[str(call.message)]))

        given.update(less=20.0, more=900.0, none=None)
        async with running(bus, seconds=100):
            for kind in given:
                await bus.ask("slow", kind, returns=None, timeout=60)
        less, more, none = [each or 0.0 for each in left]
        assert less <= 20.0 < min(more, none) <= max(more, none) <= 60.0

    async def test_trying_again_takes_no_more_time_than_was_granted(self, shop: Shop) -> None:
        @shop.bus.call_middleware
        async def too_late(call: Call, call_next: NextCall) -> Any:
            assert call.deadline is not None
            return await call_next(replace(call, deadline=call.deadline - 3))

        async with running(shop.bus) as bus:
            with pytest.raises(DeadlineExceededError, match="middleware"):
                await bus.ask(Count(word="abc"), timeout=3)
        assert shop.handled == []

    async def test_a_call_inside_a_handler_goes_through_too(self) -> None:
        bus = Bus("nesting", "memory:")
        seen: list[tuple[str, str | None]] = []

        @bus.query_handler("outer")
        async def outer(word: str) -> int:
            return await bus.ask("inner", word, returns=int)

        @bus.query_handler("inner")
        async def inner(word: str) -> int:
            return len(word)

        @bus.call_middleware
        async def note(call: Call, call_next: NextCall) -> Any:
            context = get_context()
            seen.append((call.topic, None if context is None else context.topic))
            return await call_next(call)

        async with running(bus):
            assert await bus.ask("outer", "abc", returns=int) == 3
        assert seen == [("outer", None), ("inner", "outer")]

    async def test_a_cancelled_caller_leaves_through_it(self, shop: Shop) -> None:
        left = anyio.Event()

        @shop.bus.call_middleware
        async def wait(call: Call, call_next: NextCall) -> Any:
            try:
                await anyio.sleep_forever()
            finally:
                left.set()

        async with running(shop.bus) as bus:
            with anyio.move_on_after(0.01) as scope:
                await bus.ask(Count(word="abc"))
            assert scope.cancelled_caught
            assert left.is_set()

    def test_a_sync_program_goes_through_it(self, shop: Shop) -> None:
        seen: list[str] = []

        @shop.bus.call_middleware
        async def note(call: Call, call_next: NextCall) -> Any:
            seen.append(call.verb)
            return await call_next(call)

        with shop.bus.sync() as bus:
            assert bus.ask(Count(word="abc")) == 3
        assert seen == ["ask"]


class TestAroundHandling:
    async def test_it_sees_the_decoded_message_its_context_and_the_answer(self, shop: Shop) -> None:
        seen: list[tuple[object, str, str, object]] = []

        @shop.bus.handling_middleware
        async def note(handling: Handling, call_next: NextHandling) -> Any:
            assert get_context() is handling.context
            answer = await call_next(handling)
            seen.append((handling.message, handling.context.topic, handling.handler.name.split(".")[-1], answer))
            return answer

        async with running(shop.bus) as bus:
            await bus.ask("count", {"word": "abc"}, returns=int)
            await bus.send(Store(word="b"), wait=True)
        assert seen == [(Count(word="abc"), "count", "count", 3), (Store(word="b"), "store", "store", None)]

    async def test_it_may_change_the_message_and_the_answer(self, shop: Shop) -> None:
        @shop.bus.handling_middleware
        async def change(handling: Handling, call_next: NextHandling) -> Any:
            return 10 * await call_next(replace(handling, message=Count(word="ab")))

        async with running(shop.bus) as bus:
            assert await bus.ask(Count(word="abc")) == 20

    async def test_what_it_raises_fails_the_message(self, shop: Shop) -> None:
        @shop.bus.handling_middleware
        async def refuse(handling: Handling, call_next: NextHandling) -> Any:
            raise PermissionError("not you")

        async with running(shop.bus) as bus:
            with pytest.raises(RemoteError, match="not you"):
                await bus.ask(Count(word="abc"))
            with pytest.raises(RemoteError, match="not you"):
                await bus.send(Store(word="abc"), wait=True)
        assert shop.handled == []

    async def test_it_may_catch_what_a_sync_handler_raises_and_try_again(self, shop: Shop) -> None:
        @shop.bus.handling_middleware
        async def mend(handling: Handling, call_next: NextHandling) -> Any:
            try:
                return await call_next(handling)
            except ValueError:
                return await call_next(replace(handling, message=Store(word="mended")))

        async with running(shop.bus) as bus:
            await bus.send(Store(word=""), wait=True)
        assert shop.handled == [("mended", {})]

    async def test_an_answer_that_cannot_be_sent_fails_the_message(self, shop: Shop) -> None:
        @shop.bus.handling_middleware
        async def odd(handling: Handling, call_next: NextHandling) -> Any:
            return object()

        async with running(shop.bus) as bus:
            with pytest.raises(RemoteError):
                await bus.ask(Count(word="abc"))

    async def test_it_goes_on_when_the_handlers_children_have_ended(self) -> None:
        order: list[str] = []
        bus = Bus("family", "memory:")

        async def child(attempt: int) -> None:
            await anyio.lowlevel.checkpoint()
            order.append(f"child {attempt}")
            if attempt == 1:
                raise ValueError("the first child")

        @bus.command_handler("start")
        async def start(attempts: list[int], ctx: Context) -> None:
            attempts.append(len(attempts) + 1)
            ctx.start_soon(child, attempts[-1])
            if attempts == [1]:
                await anyio.sleep_forever()

        @bus.handling_middleware
        async def retry(handling: Handling, call_next: NextHandling) -> Any:
            handling.context.start_soon(child, 0)
            try:
                await call_next(handling)
            except ValueError as error:
                order.append(str(error))
                await call_next(handling)
            order.append("middleware")

        async with running(bus):
            await bus.send("start", list[int](), wait=True)
            await bus.send("start", [1], wait=True)
        assert [each for each in order if each != "child 0"] == [
            *("child 1", "the first child", "child 2", "middleware"),
            *("child 2", "middleware"),
        ]
        assert order.count("child 0") == 2

    @pytest.mark.parametrize("events", [1, 2])
    async def test_each_of_several_event_handlers_has_its_own_children(self, events: int) -> None:
        bus = Bus("family", "memory:")
        ended: list[str] = []

        async def child(name: str) -> None:
            await anyio.lowlevel.checkpoint()
            ended.append(name)

        @bus.event_handler("it.happened", group="g")
        async def one(number: int, ctx: Context) -> None:
            ctx.start_soon(child, "one")

        @bus.event_handler("it.happened", group="g")
        async def two(number: int, ctx: Context) -> None:
            ctx.start_soon(child, "two")

        @bus.handling_middleware
        async def check(handling: Handling, call_next: NextHandling) -> Any:
            await call_next(handling)
            assert ended[-1] == handling.handler.name.split(".")[-1]
            ended.append("after")

        async with running(bus):
            for number in range(events):
                await bus.publish("it.happened", number)
        assert ended == ["one", "after", "two", "after"] * events

    async def test_that_of_a_group_is_inside_that_of_the_bus_that_includes_it(self) -> None:
        order: list[str] = []

        def noting(name: str) -> Any:
            async def note(handling: Handling, call_next: NextHandling) -> Any:
                order.append(f"{handling.context.topic} {name}")
                return await call_next(handling)

            return note

        bus, outer, inner = Bus("a", "memory:"), HandlerGroup(), HandlerGroup()

        async def add(word: str) -> None:
            order.append("handler")

        inner.command_handler("add")(add)
        outer.command_handler("outer.add")(add)
        bus.command_handler("bus.add")(add)
        inner.handling_middleware(noting("inner 1"))
        inner.handling_middleware(noting("inner 2"))
        outer.include(inner, prefix="inner")
        outer.handling_middleware(noting("outer"))
        bus.include(outer)
        bus.handling_middleware(noting("bus"))
        async with running(bus):
            for topic in ("inner.add", "outer.add", "bus.add"):
                await bus.send(topic, "x", wait=True)
        assert order == [
            *("inner.add bus", "inner.add outer", "inner.add inner 1", "inner.add inner 2", "handler"),
            *("outer.add bus", "outer.add outer", "handler"),
            *("bus.add bus", "handler"),
        ]

    async def test_a_bus_that_runs_again_does_not_have_it_twice(self, shop: Shop) -> None:
        count = 0

        @shop.bus.handling_middleware
        async def note(handling: Handling, call_next: NextHandling) -> Any:
            nonlocal count
            count += 1
            return await call_next(handling)

        for _ in range(2):
            async with running(shop.bus) as bus:
                await bus.ask(Count(word="abc"))
        assert count == 2


class TestDeclaring:
    async def test_not_while_the_bus_runs(self, shop: Shop) -> None:
        async def passing(passed: Any, call_next: Any) -> Any:
            return await call_next(passed)

        async with running(shop.bus) as bus:
            with pytest.raises(RuntimeError, match=r"passing .*test_middleware.py.* running"):
                bus.call_middleware(passing)
            with pytest.raises(RuntimeError, match="running"):
                bus.handling_middleware(passing)
        assert shop.bus.status is LinkStatus.CLOSED
        assert shop.bus.call_middleware(passing) is passing
        assert shop.bus.handling_middleware(passing) is passing

    def test_not_in_a_group_that_was_included(self) -> None:
        async def passing(handling: Handling, call_next: NextHandling) -> Any: ...

        group = HandlerGroup()
        Bus("a").include(group)
        with pytest.raises(RuntimeError, match="included already"):
            group.handling_middleware(passing)

    def test_what_cannot_be_one(self) -> None:
        class Passing:
            async def __call__(self, passed: Any, call_next: Any) -> Any: ...

        async def one(passed: Any) -> Any: ...

        async def yielding(passed: Any, call_next: Any) -> AsyncIterator[None]:
            yield

        bus = Bus("a")
        wrong: list[tuple[Any, str]] = [
            (Passing, "Passing is a class: declare an instance"),
            ("passing", "async callable, not 'passing'"),
            (one, "one .*does not take two arguments"),
            (yielding, "yielding .*yields"),
        ]
        for middleware, why in wrong:
            with pytest.raises(TypeError, match=why):
                bus.call_middleware(middleware)
            with pytest.raises(TypeError, match=why):
                bus.handling_middleware(middleware)
        assert bus.call_middleware(Passing()) is not None

    def test_without_any_there_is_no_chain(self) -> None:
        async def innermost(call: Call) -> None: ...

        middleware: list[CallMiddleware] = []
        assert chain(middleware, innermost) is innermost

    def test_headers_are_not_shown(self) -> None:
        assert "secret" not in repr(Call(verb="ask", topic="t", message=None, headers={"token": "secret"}))
