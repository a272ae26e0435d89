"""A consumer: how many at a time, in which order, and what a caller who leaves may and may not stop."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cqrsbus.bus.consumer import IN_A_ROW, Consumer, Work
from cqrsbus.bus.context import Context, current_context
from cqrsbus.bus.crew import AT_ONCE
from cqrsbus.bus.turn import Turn
from cqrsbus.bus.waiting import ArrivalOrder, KeyOrder, Reading
from cqrsbus.errors import Code
from cqrsbus.links.port import Delivery
from tests.bus.deliveries import FakeDelivery, delivery

pytestmark = pytest.mark.anyio


class Desk:
    """Work that lasts until it is let go."""

    def __init__(self) -> None:
        self.started: list[Delivery] = []
        self.cancelled: list[Delivery] = []
        self._gates: dict[Delivery, anyio.Event] = {}

    def open(self, *deliveries: FakeDelivery) -> None:
        """Let work on these end, whether or not it has begun."""
        for each in deliveries:
            self._gates.setdefault(each, anyio.Event()).set()

    async def work(self, delivery: Delivery, *_: object) -> None:
        self.started.append(delivery)
        try:
            await self._gates.setdefault(delivery, anyio.Event()).wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled.append(delivery)
            raise
        delivery.done()


@asynccontextmanager
async def consuming(
    work: Work, *, concurrency: int = 1, cancellable: bool = True, waiting: ArrivalOrder | KeyOrder | None = None
) -> AsyncGenerator[Consumer, None]:
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            yield Consumer(work, concurrency=concurrency, cancellable=cancellable, tasks=tasks, waiting=waiting)
            tasks.cancel_scope.cancel()


async def eventually(done: Callable[[], bool]) -> None:
    """Let the other tasks run until they have done it."""
    while not done():
        await checkpoint()


async def settled() -> None:
    """Let every task run until it waits: no more is to be expected."""
    await anyio.wait_all_tasks_blocked()


def several(count: int) -> list[FakeDelivery]:
    return [delivery(number) for number in range(count)]


async def test_one_at_a_time_in_order() -> None:
    desk, deliveries = Desk(), several(5)
    async with consuming(desk.work) as consumer:
        for each in deliveries:
            consumer.accept([each])
        for count, each in enumerate(deliveries, start=1):
            await settled()
            assert desk.started == deliveries[:count]
            desk.open(each)
        await consumer.wait_idle()
    assert [each.settlement for each in deliveries] == [("done",)] * 5


async def test_work_that_never_waits_lets_others_run_now_and_then() -> None:
    handled, seen = 0, list[int]()

    async def work(delivery: Delivery, *_: object) -> None:
        nonlocal handled
        handled += 1
        delivery.done()

    async with consuming(work) as consumer:
        for each in several(6 * IN_A_ROW):
            consumer.accept([each])
        while not consumer.is_idle:
            await checkpoint()
            seen.append(handled)
    # The order of tasks within a turn of the loop may change from one to the next.
    assert max(after - before for before, after in pairwise([0, *seen])) <= 2 * IN_A_ROW


async def test_work_that_never_waits_is_done_by_few_workers() -> None:
    async def work(delivery: Delivery, *_: object) -> None:
        delivery.done()

    deliveries = several(20)
    async with consuming(work, concurrency=10) as consumer:
        for each in deliveries:
            consumer.accept([each])
        await settled()
        assert [each.settlement for each in deliveries] == [("done",)] * 20
        assert consumer.is_idle
        assert consumer._crew.workers <= 1 + AT_ONCE


async def test_as_many_at_a_time_as_allowed() -> None:
    desk, deliveries = Desk(), several(5)
    async with consuming(desk.work, concurrency=3) as consumer:
        for each in deliveries:
            consumer.accept([each])
        await settled()
        assert set(desk.started) == set(deliveries[:3])
        desk.open(desk.started[1])  # type: ignore[arg-type]
        await settled()
        assert desk.started[3:] == [deliveries[3]]
        desk.open(*deliveries)
        await consumer.wait_idle()
    assert desk.started[4:] == [deliveries[4]]


async def test_workers_start_when_needed_and_stay() -> None:
    desk, deliveries = Desk(), several(6)
    desk.open(*deliveries)
    async with consuming(desk.work, concurrency=3) as consumer:
        assert consumer._crew.workers == 0
        for each in deliveries[:4]:
            consumer.accept([each])
            await consumer.wait_idle()
        assert consumer._crew.workers == 1
        for each in deliveries[4:]:
            consumer.accept([each])
        assert consumer._crew.workers == 2
        await consumer.wait_idle()
    assert desk.started[:4] == deliveries[:4]


async def test_a_caller_that_leaves_stops_its_own_work_and_nothing_else() -> None:
    desk, (one, two, three) = Desk(), several(3)
    async with consuming(desk.work, concurrency=2) as consumer:
        for each in (one, two, three):
            consumer.accept([each])
        await settled()
        one.leave()
        await settled()
        assert desk.cancelled == [one]
        assert desk.started[2:] == [three]
        desk.open(two, three)
        await consumer.wait_idle()
    assert one.settlement == ("fail", Code.CANCELLED, {"reason": "the handler was cancelled"})
    assert (two.settlement, three.settlement) == (("done",), ("done",))


async def test_a_caller_that_leaves_when_its_work_is_as_good_as_done_does_not_hit_the_next() -> None:
    one, two = several(2)
    handled: list[Delivery] = []

    async def work(delivery: Delivery, *_: object) -> None:
        if delivery is two:
            await checkpoint()
        handled.append(delivery)
        if delivery is one:
            one.leave()
        delivery.done()

    async with consuming(work) as consumer:
        consumer.accept([one])
        consumer.accept([two])
        await consumer.wait_idle()
    assert handled == [one, two]


async def test_work_that_is_to_be_finished_is() -> None:
    desk, one = Desk(), delivery()
    async with consuming(desk.work, cancellable=False) as consumer:
        consumer.accept([one])
        await settled()
        one.leave()
        await settled()
        assert one.settlement is None
        desk.open(one)
        await consumer.wait_idle()
    assert one.settlement == ("done",)
    assert desk.cancelled == []


async def test_a_cancelled_worker_is_replaced_for_what_comes_later_too() -> None:
    desk, (one, two) = Desk(), several(2)
    async with consuming(desk.work) as consumer:
        consumer.accept([one])
        await settled()
        one.leave()
        await consumer.wait_idle()
        assert consumer._crew.workers == 0
        desk.open(two)
        consumer.accept([two])
        await consumer.wait_idle()
    assert two.settlement == ("done",)


async def test_what_expired_or_was_cancelled_while_it_waited_is_never_started() -> None:
    desk, now = Desk(), anyio.current_time()
    one, two, late, left = delivery(), delivery(deadline=now + 60), delivery(deadline=now), delivery()
    async with consuming(desk.work) as consumer:
        for each in (one, late, left, two):
            consumer.accept([each])
        await settled()
        left.leave()
        desk.open(one, two)
        await consumer.wait_idle()
    assert desk.started == [one, two]
    assert late.settlement == (
        "fail",
        Code.DEADLINE_EXCEEDED,
        {"reason": "it expired before it was started", "stage": "queue"},
    )
    assert left.settlement == ("fail", Code.CANCELLED, {"reason": "the caller left before it was started"})


async def test_what_was_not_started_is_handed_back_in_order() -> None:
    desk, deliveries = Desk(), several(4)
    order: list[int] = []

    class Watched(FakeDelivery):
        def hand_back(self) -> None:
            order.append(deliveries.index(self))
            super().hand_back()

    for each in deliveries:
        each.__class__ = Watched
    async with consuming(desk.work) as consumer:
        for each in deliveries:
            consumer.accept([each])
        await settled()
        consumer.hand_back()
        assert order == [1, 2, 3]
        assert deliveries[0].settlement is None
        desk.open(*deliveries)
        await consumer.wait_idle()
    assert desk.started == deliveries[:1]
    assert deliveries[0].settlement == ("done",)


async def test_idle_means_that_nothing_waits_and_nothing_is_worked_on() -> None:
    desk, (one, two, three) = Desk(), several(3)
    idle = False

    async def wait(consumer: Consumer) -> None:
        nonlocal idle
        await consumer.wait_idle()
        idle = True

    async with consuming(desk.work, concurrency=2) as consumer:
        await consumer.wait_idle()
        for each in (one, two, three):
            consumer.accept([each])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, consumer)
            for each in (one, two, three):
                await settled()
                assert not idle
                desk.open(each)
    assert idle


async def test_the_end_of_its_tasks_settles_what_was_being_worked_on() -> None:
    desk, (one, two) = Desk(), several(2)
    async with consuming(desk.work) as consumer:
        consumer.accept([one])
        consumer.accept([two])
        await settled()
    assert one.settlement == ("fail", Code.CANCELLED, {"reason": "the handler was cancelled"})
    assert (two.settlement, desk.started) == (None, [one])


class TestInTurn:
    """The work of a worker goes on from one delivery to the next by itself."""

    async def through(self, delivery: Delivery, scope: object, reading: object, turn: Turn | None) -> None:
        """Work that takes more as long as there is more."""
        assert turn is not None
        self.started += 1
        following: Delivery | None = delivery
        while following is not None:
            self.handled.append(following)
            await self.handle(following)
            following.done()
            following = turn.next()

    @pytest.fixture(autouse=True)
    def begin(self) -> None:
        self.started = 0
        self.handled: list[Delivery] = []
        self.stops_at: Delivery | None = None
        self.leaves_at: FakeDelivery | None = None

    async def handle(self, delivery: Delivery) -> None:
        if delivery is self.stops_at:
            await anyio.sleep_forever()
        if self.leaves_at is not None and delivery is self.leaves_at:
            self.leaves_at.leave()

    async def test_all_that_waits_is_done_in_order(self) -> None:
        deliveries = several(5)
        async with consuming(self.through, cancellable=False) as consumer:
            consumer.accept(deliveries)
            await consumer.wait_idle()
        assert (self.handled, self.started) == (deliveries, 1)
        assert [each.settlement for each in deliveries] == [("done",)] * 5

    async def test_others_run_now_and_then(self) -> None:
        async with consuming(self.through, cancellable=False) as consumer:
            consumer.accept(several(3 * IN_A_ROW))
            most, before = 0, 0
            while not consumer.is_idle:
                await checkpoint()
                most, before = max(most, len(self.handled) - before), len(self.handled)
        assert len(self.handled) == 3 * IN_A_ROW
        assert (self.started, most <= 2 * IN_A_ROW) == (3, True)

    async def test_what_expired_while_it_waited_is_passed_over(self) -> None:
        first, late, left, last = several(4)
        late.deadline, left.cancelled, last.deadline = anyio.current_time() - 1, True, anyio.current_time() + 100
        async with consuming(self.through, cancellable=False) as consumer:
            consumer.accept([first, late, left, last])
            await consumer.wait_idle()
        assert self.handled == [first, last]
        assert (late.settlement or ())[:2] == ("fail", Code.DEADLINE_EXCEEDED)
        assert (left.settlement or ())[:2] == ("fail", Code.CANCELLED)

    async def test_the_end_settles_what_is_being_worked_on_and_leaves_the_rest(self) -> None:
        first, second, third = several(3)
        self.stops_at = second
        async with consuming(self.through, cancellable=False) as consumer:
            consumer.accept([first, second, third])
            await settled()
            assert self.handled == [first, second]
        assert first.settlement == ("done",)
        assert (second.settlement or ())[:2] == ("fail", Code.CANCELLED)
        assert third.settlement is None
        consumer.hand_back()
        assert third.settlement == ("hand back",)

    async def test_a_caller_that_leaves_stops_it_and_another_worker_goes_on(self) -> None:
        first, second, third = several(3)
        self.stops_at = second
        async with consuming(self.through) as consumer:
            consumer.accept([first, second, third])
            await settled()
            first.leave()
            assert self.handled == [first, second], "it was handled before"
            second.leave()
            await consumer.wait_idle()
        assert (self.handled, self.started) == ([first, second, third], 2)
        assert (second.settlement or ())[:2] == ("fail", Code.CANCELLED)
        assert third.settlement == ("done",)

    async def test_a_caller_that_leaves_when_its_work_is_as_good_as_done_stops_nothing_else(self) -> None:
        first, second = several(2)
        self.leaves_at = first
        async with consuming(self.through) as consumer:
            consumer.accept([first, second])
            await consumer.wait_idle()
        assert (self.handled, self.started) == ([first, second], 2)
        assert (first.settlement, second.settlement) == (("done",), ("done",))

    async def test_several_share_what_waits(self) -> None:
        first, second, third = several(3)
        self.stops_at = first
        async with consuming(self.through, concurrency=2) as consumer:
            consumer.accept([first, second, third])
            await settled()
            assert self.handled == [first, second, third]
            assert self.started == 2
            first.leave()
            await consumer.wait_idle()

    async def test_a_worker_that_another_one_starts_knows_nothing_of_its_message(self) -> None:
        found, all_work = list[Context | None](), anyio.Event()

        async def work(delivery: Delivery, scope: object, reading: object, turn: Turn | None) -> None:
            assert turn is not None
            found.append(current_context.get())
            current_context.set(Context("m-1", "a.topic"))
            delivery.done()
            # This starts one more worker, and its own message is still the current one.
            following = turn.next()
            if len(found) == 3:
                all_work.set()
            await all_work.wait()
            if following is not None:
                following.done()

        async with consuming(work, concurrency=3) as consumer:
            consumer.accept(several(6))
            await all_work.wait()
            assert found == [None] * 3
            await consumer.wait_idle()

    async def test_where_others_may_be_first_it_comes_back_for_each(self) -> None:
        given: list[Turn | None] = []

        async def work(delivery: Delivery, scope: object, reading: object, turn: Turn | None) -> None:
            given.append(turn)
            delivery.done()

        async with consuming(work, waiting=KeyOrder(TestByKey.by_topic)) as consumer:
            consumer.accept(several(3))
            await consumer.wait_idle()
        assert given == [None] * 3


class TestByKey:
    """Deliveries of one topic are in order, and others beside them."""

    @staticmethod
    def by_topic(delivery: Delivery) -> Reading:
        return Reading(delivery.topic, delivery.topic.upper())

    async def test_a_free_key_is_started_while_another_is_worked_on(self) -> None:
        desk = Desk()
        one, same, other = delivery(topic="a"), delivery(topic="a"), delivery(topic="b")
        async with consuming(desk.work, concurrency=2, waiting=KeyOrder(self.by_topic)) as consumer:
            for each in (one, same, other):
                consumer.accept([each])
            await settled()
            assert set(desk.started) == {one, other}
            desk.open(other)
            await settled()
            # A worker rests now; the next of the busy key is not for it.
            assert len(desk.started) == 2
            desk.open(one)
            await settled()
            assert desk.started[2:] == [same]
            desk.open(same)
            await consumer.wait_idle()

    async def test_what_it_was_read_as_is_handed_over(self) -> None:
        got: list[object] = []

        async def work(delivery: Delivery, scope: object, reading: Reading | None, turn: Turn | None) -> None:
            got.append(reading)
            delivery.done()

        async with consuming(work, concurrency=2, waiting=KeyOrder(self.by_topic)) as consumer:
            consumer.accept([delivery(topic="a")])
            await consumer.wait_idle()
        assert got == [Reading("a", "A")]

    async def test_a_key_is_free_again_when_its_worker_was_cancelled(self) -> None:
        desk = Desk()
        one, other, same = delivery(topic="a"), delivery(topic="b"), delivery(topic="a")
        async with consuming(desk.work, concurrency=2, waiting=KeyOrder(self.by_topic)) as consumer:
            for each in (one, other, same):
                consumer.accept([each])
            desk.open(other)
            await settled()
            one.leave()
            await settled()
            # The worker that rested has taken it.
            assert desk.started[2:] == [same]
            desk.open(same)
            await consumer.wait_idle()
        assert same.settlement == ("done",)

    async def test_a_key_is_free_again_when_its_next_was_never_started(self) -> None:
        desk, now = Desk(), anyio.current_time()
        one, late, left, last = delivery(), delivery(deadline=now), delivery(), delivery()
        async with consuming(desk.work, concurrency=2, waiting=KeyOrder(self.by_topic)) as consumer:
            for each in (one, late, left, last):
                consumer.accept([each])
            await settled()
            left.leave()
            desk.open(one, last)
            await consumer.wait_idle()
        assert desk.started == [one, last]
        assert late.settlement is not None
        assert left.settlement is not None
