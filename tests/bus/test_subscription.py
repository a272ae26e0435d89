"""Listening for a while: who gets which event, and how listening ends."""

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from cqrsbus import DeadlineExceededError
from cqrsbus.bus.context import Context
from cqrsbus.bus.subscription import Subscription
from cqrsbus.bus.types import message_type
from cqrsbus.links.port import Sink
from tests.bus.deliveries import FakeDelivery, delivery

pytestmark = pytest.mark.anyio


class Wire:
    """The link's side of one subscription."""

    def __init__(self) -> None:
        self.sink: Sink | None = None
        self.subscription: Subscription[int] = Subscription("a.*", message_type(int), self._start)

    async def _start(self, sink: Sink) -> "Wire":
        self.sink = sink
        return self

    async def unsubscribe(self) -> None:
        self.sink = None

    def deliver(self, *messages: object) -> list[FakeDelivery]:
        assert self.sink is not None, "nobody listens"
        deliveries = [each if isinstance(each, FakeDelivery) else delivery(each) for each in messages]
        self.sink(deliveries)
        return deliveries


@pytest.fixture
def wire() -> Wire:
    return Wire()


@asynccontextmanager
async def listening(wire: Wire) -> AsyncGenerator[Subscription[int], None]:
    with anyio.fail_after(5):
        async with wire.subscription as events:
            yield events


async def test_events_come_in_order_and_count_as_handled_when_taken(wire: Wire) -> None:
    async with listening(wire) as events:
        deliveries = wire.deliver(1, 2, 3)
        assert [await anext(events), await anext(events)] == [1, 2]
    assert [each.settlement for each in deliveries] == [("done",), ("done",), ("hand back",)]
    assert wire.sink is None


async def test_items_tell_what_is_known_of_each(wire: Wire) -> None:
    async with listening(wire) as events:
        wire.deliver(delivery(1, topic="a.b"))
        async for message, context in events.items():
            assert isinstance(context, Context)
            assert (message, context.topic, context.message_id) == (1, "a.b", "m-1")
            break


@pytest.mark.parametrize(
    "make",
    [lambda: delivery("no number"), lambda: FakeDelivery(1), lambda: delivery(body=b"\xc1")],
    ids=["misfit", "unintelligible header", "malformed body"],
)
async def test_what_cannot_be_read_is_logged_and_passed_over(
    wire: Wire, make: Callable[[], FakeDelivery], caplog: pytest.LogCaptureFixture
) -> None:
    odd = make()
    async with listening(wire) as events:
        wire.deliver(odd)
        wire.deliver(2)
        with caplog.at_level(logging.ERROR, "cqrsbus"):
            assert await anext(events) == 2
    assert odd.settlement == ("done",)
    assert len(caplog.records) == 1


async def test_of_several_who_wait_each_gets_another(wire: Wire) -> None:
    got: list[int] = []

    async def take() -> None:
        got.append(await anext(events))

    async with listening(wire) as events, anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        for number in (1, 2, 3):
            wire.deliver(number)
    assert sorted(got) == [1, 2, 3]


async def test_who_is_cancelled_while_waiting_takes_nothing_along(wire: Wire) -> None:
    async with listening(wire) as events:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anext(events)
        assert scope.cancelled_caught
        wire.deliver(1)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anext(events)
        assert scope.cancelled_caught
        assert await anext(events) == 1


async def test_the_end_comes_behind_what_has_come(wire: Wire) -> None:
    async with listening(wire) as events:
        wire.deliver(1, 2)
        events.end()
        assert [number async for number in events] == [1, 2]
        assert [item async for item in events.items()] == []


@pytest.mark.parametrize("end", ["the bus is closed", "the subscription is left"])
async def test_the_end_wakes_everybody_who_waits(wire: Wire, end: str) -> None:
    ended = 0

    async def listen() -> None:
        nonlocal ended
        async for _ in wire.subscription:
            raise AssertionError
        ended += 1

    # The tasks end last: leaving is what has to end them.
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks, wire.subscription as events:
            for _ in range(3):
                tasks.start_soon(listen)
            await anyio.wait_all_tasks_blocked()
            if end == "the bus is closed":
                events.end()
    assert ended == 3


async def test_it_may_be_entered_again_but_not_twice(wire: Wire) -> None:
    async def deliver_later(number: int) -> None:
        await anyio.wait_all_tasks_blocked()
        wire.deliver(number)

    for number in (1, 2):
        async with listening(wire) as events:
            with pytest.raises(RuntimeError, match="active already"):
                await wire.subscription.__aenter__()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(deliver_later, number)
                assert await anext(events) == number
            events.end()
        assert [number async for number in wire.subscription] == []


async def test_it_is_to_be_entered_before_it_is_iterated_over(wire: Wire) -> None:
    with pytest.raises(RuntimeError, match=r"not subscribed to 'a\.\*'"):
        await anext(wire.subscription)


@pytest.mark.parametrize("failing", ["entering", "leaving"])
async def test_what_was_not_taken_is_handed_back_even_if_it_cannot_be_confirmed(failing: str) -> None:
    deliveries: list[FakeDelivery] = []

    class Refusing(Wire):
        async def _start(self, sink: Sink) -> Wire:
            self.sink = sink
            if failing == "entering":
                deliveries.extend(self.deliver(1))
                raise DeadlineExceededError("no answer")
            return self

        async def unsubscribe(self) -> None:
            raise DeadlineExceededError("no answer")

    wire = Refusing()
    with pytest.raises(DeadlineExceededError):
        async with wire.subscription:
            deliveries.extend(wire.deliver(1))
    assert [each.settlement for each in deliveries] == [("hand back",)]
