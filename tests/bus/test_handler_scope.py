"""What a handler starts ends with it, before its message is settled, whoever fails or leaves."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cqrsbus.bus.codec import MSGPACK
from cqrsbus.bus.consumer import Consumer
from cqrsbus.bus.context import Context, get_context, shielded_context
from cqrsbus.bus.dispatch import bind
from cqrsbus.bus.handler_scope import HandlerScope
from cqrsbus.bus.registry import HandlerGroup
from cqrsbus.errors import Code
from tests.bus.deliveries import ENVELOPE, FakeDelivery, delivery

pytestmark = pytest.mark.anyio

DONE = ("done",)
ANSWER = ("reply", MSGPACK.content_type, MSGPACK.encode("answer"))
CANCELLED = ("fail", Code.CANCELLED, {"reason": "the handler was cancelled"})

Handle = Callable[[object, Context], Awaitable[str]]


def failed(error: Exception) -> tuple[Any, ...]:
    return ("fail", Code.REMOTE_ERROR, {"type": type(error).__name__, "reason": str(error)})


@asynccontextmanager
async def consuming(group: HandlerGroup) -> AsyncGenerator[Consumer, None]:
    (binding,) = bind(group.handlers, MSGPACK)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            yield Consumer(binding.work, concurrency=binding.concurrency, cancellable=binding.cancellable, tasks=tasks)
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def answering(handle: Handle, *, concurrency: int = 1) -> AsyncGenerator[Consumer, None]:
    group = HandlerGroup()

    @group.query_handler("q", concurrency=concurrency)
    async def answer(message: object, ctx: Context) -> str:
        return await handle(message, ctx)

    async with consuming(group) as consumer:
        yield consumer


async def settlement(handle: Handle) -> tuple[Any, ...] | None:
    """How one message is settled, and that the next one is handled as ever."""
    one, plain = delivery("first"), delivery("plain")

    async def first_of_two(message: object, ctx: Context) -> str:
        return await handle(message, ctx) if message == "first" else "answer"

    async with answering(first_of_two) as consumer:
        consumer.accept([one])
        consumer.accept([plain])
        await consumer.wait_idle()
        assert plain.settlement == ANSWER
    return one.settlement


class Child:
    """A child that waits, takes its time to clean up, and says what became of it."""

    def __init__(self, *, raises: Exception | None = None) -> None:
        self.said: list[str] = []
        self.let_go = anyio.Event()
        self._raises = raises

    async def run(self) -> None:
        self.said.append("begun")
        try:
            await self.let_go.wait()
            self.said.append("let go")
        except anyio.get_cancelled_exc_class():
            self.said.append("cancelled")
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await checkpoint()
                await checkpoint()
            self.said.append("ended")
            if self._raises is not None:
                raise self._raises


async def raising(error: Exception) -> None:
    await checkpoint()
    raise error


async def test_the_answer_waits_for_the_children() -> None:
    children, one = [Child(), Child()], delivery()

    async def handle(_: object, ctx: Context) -> str:
        for child in children:
            ctx.start_soon(child.run)
        return "answer"

    async with answering(handle) as consumer:
        consumer.accept([one])
        for child in children:
            await anyio.wait_all_tasks_blocked()
            assert one.settlement is None
            assert not consumer.is_idle
            child.let_go.set()
        await consumer.wait_idle()
    assert one.settlement == ANSWER
    assert [child.said for child in children] == [["begun", "let go", "ended"]] * 2


async def test_a_failing_child_cancels_the_handler_and_its_siblings_and_fails_the_message() -> None:
    sibling, cleaned_up = Child(), list[str]()

    async def handle(_: object, ctx: Context) -> str:
        ctx.start_soon(sibling.run)
        ctx.start_soon(raising, ValueError("child"))
        try:
            await anyio.sleep_forever()
        finally:
            cleaned_up.append("handler")
        return "never"

    assert await settlement(handle) == failed(ValueError("child"))
    assert sibling.said == ["begun", "cancelled", "ended"]
    assert cleaned_up == ["handler"]


async def test_events_one_after_the_other_each_end_as_their_own_handler_does(caplog: pytest.LogCaptureFixture) -> None:
    """One worker does them all, in one turn; what befalls one of them does not hit the next."""
    group, handled, child = HandlerGroup(), list[str](), Child()

    @group.event_handler("e")
    async def handle(event: str, ctx: Context) -> None:
        handled.append(f"{event} {ctx.topic}")
        match event:
            case "raises":
                raise ValueError("handler")
            case "starts a child that fails":
                ctx.start_soon(raising, ValueError("child"))
                await anyio.sleep_forever()
            case "starts a child":
                ctx.start_soon(child.run)
                child.let_go.set()
            case _:
                assert get_context() is ctx

    said = ["plain", "raises", "plain", "starts a child that fails", "plain", "starts a child", "plain"]
    events = [delivery(each, topic=f"topic-{number}") for number, each in enumerate(said)]
    unreadable = delivery(7, topic="topic-7")
    async with consuming(group) as consumer:
        consumer.accept([*events, unreadable])
        await consumer.wait_idle()
    assert handled == [f"{each} topic-{number}" for number, each in enumerate(said)]
    assert [each.settlement for each in (*events, unreadable)] == [("done",)] * (len(said) + 1)
    assert child.said == ["begun", "let go", "ended"]
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info and record.exc_info[1]] == [
        "handler",
        "child",
    ]
    assert get_context() is None


async def test_a_child_that_fails_when_the_handler_has_returned() -> None:
    sibling = Child()

    async def handle(_: object, ctx: Context) -> str:
        ctx.start_soon(sibling.run)
        ctx.start_soon(raising, ValueError("child"))
        return "too early"

    assert await settlement(handle) == failed(ValueError("child"))
    assert sibling.said == ["begun", "cancelled", "ended"]


async def test_a_handler_that_takes_no_notice_of_being_cancelled_has_failed_all_the_same() -> None:
    async def handle(_: object, ctx: Context) -> str:
        ctx.start_soon(raising, ValueError("child"))
        with suppress(anyio.get_cancelled_exc_class()):
            await anyio.sleep_forever()
        return "never mind"

    assert await settlement(handle) == failed(ValueError("child"))


async def test_a_failing_handler_cancels_its_children_and_waits_for_them() -> None:
    child = Child()

    async def handle(_: object, ctx: Context) -> str:
        ctx.start_soon(child.run)
        await checkpoint()
        raise KeyError("handler")

    assert await settlement(handle) == failed(KeyError("handler"))
    assert child.said == ["begun", "cancelled", "ended"]


async def test_the_first_failure_is_told_and_the_others_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    late = Child(raises=OSError("second"))

    async def handle(_: object, ctx: Context) -> str:
        ctx.start_soon(late.run)
        ctx.start_soon(raising, ValueError("first"))
        try:
            await anyio.sleep_forever()
        finally:
            raise KeyError("third")

    assert await settlement(handle) == failed(ValueError("first"))
    said = [record.exc_info[1] for record in caplog.records if record.exc_info and record.levelno == logging.ERROR]
    assert sorted(map(repr, said)) == ["KeyError('third')", "OSError('second')", "ValueError('first')"]


async def test_what_children_raise_when_the_handler_has_failed_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    child = Child(raises=OSError("second"))

    async def handle(_: object, ctx: Context) -> str:
        ctx.start_soon(child.run)
        await anyio.wait_all_tasks_blocked()
        raise KeyError("first")

    assert await settlement(handle) == failed(KeyError("first"))
    said = [repr(record.exc_info[1]) for record in caplog.records if record.exc_info]
    assert said == ["OSError('second')", "KeyError('first')"]


@pytest.mark.parametrize("handler_waits", [True, False], ids=["handler waits", "handler has returned"])
async def test_a_caller_that_leaves_cancels_handler_and_children(handler_waits: bool) -> None:
    child, one, two = Child(), delivery(1), delivery(2)

    async def handle(message: object, ctx: Context) -> str:
        if message == 1:
            ctx.start_soon(child.run)
            if handler_waits:
                await anyio.sleep_forever()
        return "answer"

    async with answering(handle) as consumer:
        consumer.accept([one])
        consumer.accept([two])
        await anyio.wait_all_tasks_blocked()
        one.leave()
        await consumer.wait_idle()
        assert child.said == ["begun", "cancelled", "ended"]
    assert (one.settlement, two.settlement) == (CANCELLED, ANSWER)


async def test_the_message_is_settled_when_the_last_child_has_ended() -> None:
    one, seen = delivery(), list[object]()

    async def child() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await checkpoint()
            seen.append(one.settlement)

    async def handle(_: object, ctx: Context) -> str:
        ctx.start_soon(child)
        await anyio.sleep_forever()
        return "never"

    async with answering(handle) as consumer:
        consumer.accept([one])
        await anyio.wait_all_tasks_blocked()
        one.leave()
        await consumer.wait_idle()
    assert seen == [None]
    assert one.settlement == CANCELLED


async def test_children_start_children_also_when_the_handler_has_returned() -> None:
    ran: list[int] = []

    async def child(generation: int) -> None:
        await checkpoint()
        ran.append(generation)
        if generation < 4:
            Context.current().start_soon(child, generation + 1, name="later")

    async def handle(_: object, ctx: Context) -> str:
        ctx.start_soon(child, 1)
        return "answer"

    assert await settlement(handle) == ANSWER
    assert ran == [1, 2, 3, 4]


async def test_a_child_started_while_all_are_given_up_is_given_up_too() -> None:
    late, one = Child(), delivery()

    async def child(ctx: Context) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ctx.start_soon(late.run)

    async def handle(_: object, ctx: Context) -> str:
        ctx.start_soon(child, ctx)
        return "answer"

    async with answering(handle) as consumer:
        consumer.accept([one])
        await anyio.wait_all_tasks_blocked()
        one.leave()
        await consumer.wait_idle()
    assert late.said == ["begun", "cancelled", "ended"]
    assert one.settlement == CANCELLED


async def test_children_know_their_message() -> None:
    seen: list[Context | None] = []

    async def child() -> None:
        seen.append(get_context())

    async def handle(_: object, ctx: Context) -> str:
        ctx.start_soon(child)
        seen.append(ctx)
        return "answer"

    assert await settlement(handle) == ANSWER
    assert seen[0] is seen[1]


async def test_children_know_their_message_also_when_somebody_else_starts_them() -> None:
    """Like a task of the application that was given the context."""
    given, seen = list[Context](), list[Context | None]()
    got, started = anyio.Event(), anyio.Event()

    async def child() -> None:
        seen.append(get_context())

    async def handle(_: object, ctx: Context) -> str:
        given.append(ctx)
        got.set()
        await started.wait()
        return "answer"

    one = delivery()
    async with answering(handle) as consumer:
        consumer.accept([one])
        await got.wait()
        assert get_context() is None
        given[0].start_soon(child)
        started.set()
        await consumer.wait_idle()
    assert one.settlement == ANSWER
    assert seen == given


async def test_nothing_is_started_for_a_handler_that_has_ended() -> None:
    kept: list[Context] = []

    async def never() -> None:
        raise AssertionError

    async def handle(message: object, ctx: Context) -> str:
        kept.append(ctx)
        if message == 2:
            # The same worker is at it; the first message is over all the same.
            with pytest.raises(RuntimeError, match="has ended"):
                kept[0].start_soon(never)
        return "answer"

    one, two = delivery(1), delivery(2)
    async with answering(handle) as consumer:
        consumer.accept([one])
        consumer.accept([two])
        await consumer.wait_idle()
        with pytest.raises(RuntimeError, match=r"'a\.topic' has ended"):
            kept[1].start_soon(never)
    assert (one.settlement, two.settlement) == (ANSWER, ANSWER)


async def test_nothing_is_started_without_a_handler() -> None:
    with pytest.raises(RuntimeError, match="running handler"):
        Context(message_id="m", topic="t").start_soon(checkpoint)


async def test_only_async_functions_are_started() -> None:
    def no_coroutine() -> Any: ...

    async def handle(_: object, ctx: Context) -> str:
        with pytest.raises(TypeError, match=r"write start_soon\(f, x\)"):
            ctx.start_soon(raising(ValueError()))  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="not 7"):
            ctx.start_soon(7)  # type: ignore[arg-type]
        ctx.start_soon(no_coroutine)
        return "answer"

    told = await settlement(handle)
    assert told is not None
    assert told[2]["type"] == "TypeError"
    assert "no_coroutine is none" in told[2]["reason"]


async def test_a_sync_handler_starts_children_from_its_thread() -> None:
    group, child, one = HandlerGroup(), Child(), delivery()
    seen: list[Context | None] = []

    async def look() -> None:
        seen.append(get_context())

    @group.query_handler("q")
    def answer(message: object, ctx: Context) -> str:
        ctx.start_soon(child.run)
        ctx.start_soon(look)
        seen.append(ctx)
        return "answer"

    async with consuming(group) as consumer:
        consumer.accept([one])
        while "begun" not in child.said:
            await checkpoint()
        assert one.settlement is None
        child.let_go.set()
        await consumer.wait_idle()
    assert one.settlement == ANSWER
    assert seen[0] is seen[1]


async def test_a_caller_that_leaves_a_sync_handler_cancels_its_children_meanwhile() -> None:
    group, child, one = HandlerGroup(), Child(), delivery()

    @group.query_handler("q")
    def answer(message: object, ctx: Context) -> str:
        ctx.start_soon(child.run)
        anyio.from_thread.run(ended.wait)
        return "answer"

    async with consuming(group) as consumer:
        ended = anyio.Event()
        consumer.accept([one])
        while "begun" not in child.said:
            await checkpoint()
        one.leave()
        while "ended" not in child.said:
            await checkpoint()
        ended.set()
        await consumer.wait_idle()
    assert child.said == ["begun", "cancelled", "ended"]


async def test_of_handlers_that_share_events_only_the_one_whose_child_failed_is_stopped() -> None:
    group, one, ran = HandlerGroup(), delivery(), list[str]()

    @group.event_handler("t", group="g")
    async def fails(message: object, ctx: Context) -> None:
        ctx.start_soon(raising, ValueError("child"))
        await anyio.sleep_forever()

    @group.event_handler("t", group="g")
    async def works(message: object, ctx: Context) -> None:
        async def child() -> None:
            await checkpoint()
            ran.append("child")

        await checkpoint()
        ctx.start_soon(child)
        ran.append("works")

    async with consuming(group) as consumer:
        consumer.accept([one])
        await consumer.wait_idle()
    assert ran == ["works", "child"]
    assert one.settlement == DONE


async def test_a_caller_that_leaves_while_the_first_of_several_handlers_runs() -> None:
    group, child, one = HandlerGroup(), Child(), delivery()
    group.command_handler("c", on_cancel="cancel")(_starting(child))
    (binding,) = bind(group.handlers, MSGPACK)
    binding._calls[0]._is_last = False
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            consumer = Consumer(binding.work, concurrency=1, cancellable=True, tasks=tasks)
            consumer.accept([one])
            await anyio.wait_all_tasks_blocked()
            one.leave()
            await consumer.wait_idle()
            tasks.cancel_scope.cancel()
    assert child.said == ["begun", "cancelled", "ended"]
    assert one.settlement == CANCELLED


def _starting(child: Child) -> Callable[[object, Context], Awaitable[None]]:
    async def handle(message: object, ctx: Context) -> None:
        ctx.start_soon(child.run)
        await anyio.sleep_forever()

    return handle


async def test_the_end_of_the_bus_ends_children_too() -> None:
    child, one = Child(), delivery()

    async def handle(_: object, ctx: Context) -> str:
        ctx.start_soon(child.run)
        return "answer"

    async with answering(handle) as consumer:
        consumer.accept([one])
        await anyio.wait_all_tasks_blocked()
    assert child.said == ["begun", "cancelled", "ended"]
    assert one.settlement == CANCELLED


async def test_a_handler_that_starts_nothing_gets_nothing_to_start_it_in() -> None:
    group = HandlerGroup()

    @group.command_handler("c")
    async def handle(message: object) -> None:
        assert scope.children is None

    (binding,) = bind(group.handlers, MSGPACK)
    one = delivery()
    async with anyio.create_task_group() as tasks:
        scope = HandlerScope(tasks)
        await binding.work(one, scope)
    assert one.settlement == DONE


async def test_nothing_is_started_while_its_one_answer_waits_for_a_stream_to_take_it() -> None:
    contexts: list[Context] = []

    class Slow(FakeDelivery):
        """Its caller takes a stream, and what it takes is put when there is room."""

        async def reply_more(self, content_type: str, body: bytes) -> None:
            with pytest.raises(RuntimeError, match="has ended"):
                contexts[0].start_soon(anyio.sleep, 0)
            await super().reply_more(content_type, body)

    async def handle(_: object, ctx: Context) -> str:
        contexts.append(ctx)
        return "answer"

    one = Slow(None, envelope=ENVELOPE, wants_stream=True)
    async with answering(handle) as consumer:
        consumer.accept([one])
        await consumer.wait_idle()
    assert [MSGPACK.encode("answer")] == [body for _, body in one.items]


async def test_what_is_natively_cancelled_within_a_handler_is_that_handlers_affair(
    anyio_backend: tuple[str, dict[str, bool]],
) -> None:
    async def handle(message: object, ctx: Context) -> str:
        if message == 1 and anyio_backend[0] == "asyncio":
            task = asyncio.create_task(asyncio.sleep(10))
            task.cancel()
            await task
        return "answer"

    works: list[FakeDelivery] = [delivery(number) for number in range(1, 4)]
    async with answering(handle) as consumer:
        for work in works:
            consumer.accept([work])
        await consumer.wait_idle()
    assert [work.settlement for work in works[1:]] == [ANSWER] * 2


async def test_a_child_started_in_a_shielded_block_is_beside_it() -> None:
    seen: list[tuple[bool, bool]] = []

    async def handle(message: object, ctx: Context) -> str:
        async def child() -> None:
            seen.append((get_context() is ctx, shielded_context.get() is None))

        with ctx.shielded(5):
            ctx.start_soon(child)
        return "answer"

    assert await settlement(handle) == ANSWER
    assert seen == [(True, True)]
