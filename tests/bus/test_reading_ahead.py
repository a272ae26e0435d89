"""Messages that came together: handled as if each had been read when its turn came."""

import gc
import logging
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Annotated

import anyio
import pytest
from pydantic import AfterValidator, BaseModel

from cqrsbus.bus.codec import MSGPACK
from cqrsbus.bus.consumer import Consumer
from cqrsbus.bus.context import Context, get_context
from cqrsbus.bus.dispatch import bind
from cqrsbus.bus.registry import HandlerGroup
from cqrsbus.bus.waiting import READ_AHEAD
from cqrsbus.errors import Code
from cqrsbus.wire.envelope import Envelope
from tests.bus.deliveries import FakeDelivery, delivery

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def handling(function: Callable[..., object], *, concurrency: int = 1) -> AsyncGenerator[Consumer]:
    group = HandlerGroup()
    group.query_handler("q", concurrency=concurrency)(function)
    (binding,) = bind(group.handlers, MSGPACK)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            yield Consumer(
                binding.work, concurrency=concurrency, cancellable=True, tasks=tasks, waiting=binding.waiting
            )
            tasks.cancel_scope.cancel()


def several(count: int) -> list[FakeDelivery]:
    return [delivery(number, envelope=Envelope(f"m-{number}")) for number in range(count)]


def answered(number: int) -> tuple[object, ...]:
    return ("reply", MSGPACK.content_type, MSGPACK.encode(number))


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("waits", [False, True])
async def test_each_handler_gets_its_own_message_and_context(concurrency: int, waits: bool) -> None:
    async def handle(number: int, ctx: Context) -> int:
        if waits:
            await anyio.lowlevel.checkpoint()
        assert ctx.message_id == f"m-{number}"
        assert get_context() is ctx
        return number

    deliveries = several(2 * READ_AHEAD + 3)
    async with handling(handle, concurrency=concurrency) as consumer:
        consumer.accept(deliveries[: READ_AHEAD + 2])
        consumer.accept(deliveries[READ_AHEAD + 2 :])
        await consumer.wait_idle()
    assert [each.settlement for each in deliveries] == [answered(number) for number in range(2 * READ_AHEAD + 3)]


async def test_what_cannot_be_read_is_told_when_its_turn_comes(caplog: pytest.LogCaptureFixture) -> None:
    handled: list[int] = []

    async def handle(number: int) -> int:
        handled.append(number)
        return number

    deliveries = several(5)
    deliveries[2].body = MSGPACK.encode("no number")
    deliveries[3].body = b"\xc1"
    async with handling(handle) as consumer:
        with caplog.at_level(logging.ERROR, "cqrsbus"):
            consumer.accept(deliveries)
            await consumer.wait_idle()
    assert handled == [0, 1, 4]
    assert len(caplog.records) == 2
    told = [each.settlement for each in deliveries if each.settlement is not None]
    assert [settlement[:2] for settlement in told] == [
        answered(0)[:2], answered(1)[:2], *[("fail", Code.INVALID_MESSAGE)] * 2, answered(4)[:2],
    ]  # fmt: skip


async def test_a_validator_finds_the_context_of_its_own_message() -> None:
    found: list[str] = []

    def note(number: int) -> int:
        context = get_context()
        found.append("" if context is None else context.message_id)
        return number

    async def handle(number: Annotated[int, AfterValidator(note)]) -> int:
        found.append("handled")
        return number

    async with handling(handle) as consumer:
        consumer.accept(several(3))
        await consumer.wait_idle()
    assert found == ["m-0", "handled", "m-1", "handled", "m-2", "handled"]


async def test_those_behind_one_that_fails_or_is_cancelled_are_handled_as_what_they_are() -> None:
    async def handle(number: int) -> int:
        if number == 1:
            raise ValueError
        if number == 3:
            await anyio.sleep_forever()
        return number

    deliveries = several(6)
    async with handling(handle) as consumer:
        consumer.accept(deliveries)
        await anyio.wait_all_tasks_blocked()
        assert [each.settlement is not None for each in deliveries] == [True] * 3 + [False] * 3
        deliveries[3].leave()
        await consumer.wait_idle()
    told = [each.settlement for each in deliveries if each.settlement is not None]
    assert [settlement[0] for settlement in told] == ["reply", "fail", "reply", "fail", "reply", "reply"]
    assert [told[number] for number in (0, 2, 4, 5)] == [answered(number) for number in (0, 2, 4, 5)]


async def test_what_expired_or_was_left_after_it_was_read_is_not_started() -> None:
    handled: list[int] = []

    async def handle(number: int) -> int:
        handled.append(number)
        if number == 0:
            await anyio.sleep_forever()
        return number

    deliveries = several(4)
    deliveries[2].deadline = anyio.current_time() - 1
    async with handling(handle) as consumer:
        consumer.accept(deliveries)
        await anyio.wait_all_tasks_blocked()
        deliveries[1].leave()
        deliveries[0].leave()
        await consumer.wait_idle()
    assert handled == [0, 3]
    assert [settlement[1] for each in deliveries[:3] if (settlement := each.settlement)] == [
        Code.CANCELLED, Code.CANCELLED, Code.DEADLINE_EXCEEDED,
    ]  # fmt: skip
    assert deliveries[3].settlement == answered(3)


async def test_what_was_read_and_not_started_is_handed_back() -> None:
    async def handle(number: int) -> int:
        await anyio.sleep_forever()
        return number

    deliveries = several(READ_AHEAD + 2)
    async with handling(handle) as consumer:
        consumer.accept(deliveries)
        await anyio.wait_all_tasks_blocked()
        consumer.hand_back()
        assert [each.settlement for each in deliveries] == [None] + [("hand back",)] * (READ_AHEAD + 1)


async def test_a_message_is_not_kept_when_it_was_handled() -> None:
    class Empty(BaseModel):
        pass

    handled: list[weakref.ref[Empty]] = []

    async def handle(message: Empty) -> int:
        handled.append(weakref.ref(message))
        return len(handled)

    async with handling(handle) as consumer:
        consumer.accept([delivery({}) for _ in range(3)])
        await consumer.wait_idle()
        await anyio.wait_all_tasks_blocked()
        gc.collect()
        assert [kept() for kept in handled] == [None] * 3
