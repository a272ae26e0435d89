"""Events: to every subscriber, in order, by pattern, by group."""

from collections import Counter

import anyio
import pytest

from cqrsbus import Broker, Bus, Context, Event, HandlerGroup
from cqrsbus.broker.limits import BrokerLimits
from cqrsbus.routing.limits import RoutingLimits

pytestmark = pytest.mark.anyio


class Stored(Event, topic="event.email.stored"):
    number: int


class Inbox:
    """Collects what was handled, and tells when there is enough of it."""

    def __init__(self, expected: int) -> None:
        self.items: list[object] = []
        self._expected = expected
        self.full = anyio.Event()

    def add(self, item: object) -> None:
        self.items.append(item)
        if len(self.items) >= self._expected:
            self.full.set()


async def test_an_event_reaches_every_subscriber(url: str) -> None:
    inboxes = [Inbox(1) for _ in range(3)]
    buses = [Bus(f"listener-{number}", url) for number in range(3)]
    for bus, inbox in zip(buses, inboxes, strict=True):

        @bus.event_handler()
        async def listen(event: Stored, inbox: Inbox = inbox) -> None:
            inbox.add(event.number)

    with anyio.fail_after(10):
        async with buses[0], buses[1], buses[2], Bus("teller", url) as teller:
            await teller.publish(Stored(number=7))
            for inbox in inboxes:
                await inbox.full.wait()
    assert [inbox.items for inbox in inboxes] == [[7], [7], [7]]


async def test_the_publisher_hears_itself_too(url: str) -> None:
    with anyio.fail_after(10):
        async with Bus("both", url) as bus, bus.subscribe("event.email.stored", Stored) as stored:
            await bus.publish(Stored(number=1))
            assert await anext(stored) == Stored(number=1)


async def test_a_burst_of_ten_thousand_comes_in_order(url: str) -> None:
    burst = 10_000
    inbox = Inbox(burst)
    listener = Bus("listener", url)

    @listener.event_handler("burst")
    async def listen(number: int) -> None:
        inbox.add(number)

    with anyio.fail_after(60):
        async with listener, Bus("teller", url) as teller:
            for number in range(burst):
                await teller.publish("burst", number)
            await inbox.full.wait()
    assert inbox.items == list(range(burst))


async def test_a_subscriber_that_takes_its_time_gets_a_burst_in_order(url: str) -> None:
    burst = 3_000
    with anyio.fail_after(60):
        async with (
            Bus("listener", url) as listener,
            Bus("teller", url) as teller,
            listener.subscribe("burst", int) as numbers,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(_publish_range, teller, burst)
            for expected in range(burst):
                assert await anext(numbers) == expected


async def _publish_range(bus: Bus, size: int) -> None:
    for number in range(size):
        await bus.publish("burst", number)


@pytest.mark.parametrize(
    ("pattern", "heard"),
    [
        ("a.b", ["a.b"]),
        ("a.*", ["a.b", "a.c"]),
        ("a.>", ["a.b", "a.c", "a.b.c"]),
        ("*.b", ["a.b", "x.b"]),
        (">", ["a.b", "a.c", "a.b.c", "x.b", "end"]),
    ],
)
async def test_patterns_hear_what_they_match(url: str, pattern: str, heard: list[str]) -> None:
    with anyio.fail_after(10):
        async with (
            Bus("listener", url) as listener,
            Bus("teller", url) as teller,
            listener.subscribe(pattern, str) as found,
            listener.subscribe("end", str) as end,
        ):
            for topic in ("a.b", "a.c", "a.b.c", "x.b", "end"):
                await teller.publish(topic, topic)
            assert [await anext(found) for _ in heard] == heard
            assert await anext(end) == "end"


async def test_of_a_group_one_instance_gets_each_event(url: str) -> None:
    events = 60
    seen: Counter[tuple[str, int]] = Counter()
    everybody = anyio.Event()
    buses = [Bus("audit", url), Bus("audit", url), Bus("other-service", url)]

    def note(member: str, number: int) -> None:
        seen[member, number] += 1
        if sum(seen.values()) == events:
            everybody.set()

    for index, bus in enumerate(buses):

        @bus.event_handler("event.>", group="auditors")
        async def audit(event: Stored, member: str = f"member-{index}") -> None:
            note(member, event.number)

    with anyio.fail_after(10):
        async with buses[0], buses[1], buses[2], Bus("teller", url) as teller:
            for number in range(events):
                await teller.publish(Stored(number=number))
            await everybody.wait()
    assert sorted(number for _, number in seen) == list(range(events))
    assert {member for member, _ in seen} == {"member-0", "member-1", "member-2"}


async def test_each_group_gets_every_event(url: str) -> None:
    inboxes = {"one": Inbox(5), "two": Inbox(5)}
    bus = Bus("listener", url)
    for group, inbox in inboxes.items():

        @bus.event_handler("numbers", group=group)
        async def listen(number: int, inbox: Inbox = inbox) -> None:
            inbox.add(number)

    with anyio.fail_after(10):
        async with bus:
            for number in range(5):
                await bus.publish("numbers", number)
            for inbox in inboxes.values():
                await inbox.full.wait()
    assert all(inbox.items == [0, 1, 2, 3, 4] for inbox in inboxes.values())


@pytest.mark.parametrize("group", [None, "same"])
async def test_two_handlers_on_one_topic_in_one_bus_both_run(url: str, group: str | None) -> None:
    first, second = Inbox(3), Inbox(3)
    bus = Bus("listener", url)

    @bus.event_handler("numbers", group=group)
    async def listen(number: int) -> None:
        first.add(number)

    @bus.event_handler("numbers", group=group)
    def listen_too(number: int) -> None:
        anyio.from_thread.run_sync(second.add, number)

    with anyio.fail_after(10):
        async with bus:
            for number in range(3):
                await bus.publish("numbers", number)
            await first.full.wait()
            await second.full.wait()
    assert first.items == second.items == [0, 1, 2]


async def test_a_failing_handler_keeps_neither_the_next_event_nor_the_next_handler_from_running(url: str) -> None:
    inbox, other = Inbox(2), Inbox(2)
    bus = Bus("listener", url)

    @bus.event_handler("numbers", group="same")
    async def fail(number: int) -> None:
        inbox.add(number)
        raise ValueError("as always")

    @bus.event_handler("numbers", group="same")
    async def listen(number: int) -> None:
        other.add(number)

    with anyio.fail_after(10):
        async with bus:
            await bus.publish("numbers", 1)
            await bus.publish("numbers", 2)
            await inbox.full.wait()
            await other.full.wait()


async def test_leaving_a_subscription_ends_it(url: str) -> None:
    with anyio.fail_after(10):
        async with Bus("listener", url) as bus, bus.subscribe("numbers", int) as staying:
            async with bus.subscribe("numbers", int) as leaving:
                await bus.publish("numbers", 1)
                assert await anext(leaving) == 1
            await bus.publish("numbers", 2)
            async with bus.subscribe("numbers", int) as back:
                await bus.publish("numbers", 3)
                assert await anext(back) == 3
            assert [await anext(staying) for _ in range(3)] == [1, 2, 3]


async def test_dynamic_subscriptions_of_one_group_share_the_events(url: str) -> None:
    with anyio.fail_after(10):
        async with (
            Bus("one", url) as one,
            Bus("two", url) as two,
            one.subscribe("n", int, group="g") as mine,
            two.subscribe("n", int, group="g") as theirs,
        ):
            for number in range(10):
                await one.publish("n", number)
            taken = [await anext(mine) for _ in range(5)] + [await anext(theirs) for _ in range(5)]
    assert sorted(taken) == list(range(10))


async def test_several_tasks_may_take_from_one_subscription(url: str) -> None:
    taken = Inbox(20)

    async def take(numbers: object) -> None:
        async for number in numbers:  # type: ignore[attr-defined]  # a Subscription
            taken.add(number)

    with anyio.fail_after(10):
        async with (
            Bus("one", url) as bus,
            bus.subscribe("n", int) as numbers,
            anyio.create_task_group() as tasks,
        ):
            for _ in range(3):
                tasks.start_soon(take, numbers)
            await anyio.wait_all_tasks_blocked()
            for number in range(20):
                await bus.publish("n", number)
            await taken.full.wait()
            tasks.cancel_scope.cancel()
    assert sorted(taken.items, key=str) == sorted(range(20), key=str)


async def test_items_come_with_their_context_and_may_be_left_at_any_time(url: str) -> None:
    with anyio.fail_after(10):
        async with (
            Bus("listener", url) as listener,
            Bus("teller", url) as teller,
            listener.subscribe("event.>", Stored) as found,
        ):
            await teller.publish(Stored(number=1), headers={"tenant": "blue"}, message_id="m-1")
            async for event, context in found.items():
                assert event == Stored(number=1)
                assert (context.sender, context.topic) == ("teller", "event.email.stored")
                assert (context.headers, context.message_id) == ({"tenant": "blue"}, "m-1")
                break


async def test_an_invalid_event_is_passed_over(url: str) -> None:
    with anyio.fail_after(10):
        async with Bus("listener", url) as bus, bus.subscribe("n", int) as numbers:
            await bus.publish("n", "no number")
            await bus.publish("n", 2)
            assert await anext(numbers) == 2


async def test_iterating_ends_with_the_bus(url: str) -> None:
    bus, seen, entered, left = Bus("listener", url), list[int](), anyio.Event(), anyio.Event()

    async def listen() -> None:
        async with bus.subscribe("n", int) as numbers:
            entered.set()
            async for number in numbers:
                seen.append(number)
        left.set()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            async with bus:
                tasks.start_soon(listen)
                await entered.wait()
                async with bus.subscribe("n", int) as mine:
                    await bus.publish("n", 1)
                    await anext(mine)
            await left.wait()
    assert seen in ([1], [])


async def test_an_included_group_hears_under_its_prefix(url: str) -> None:
    group, inbox = HandlerGroup(), Inbox(1)

    @group.event_handler("email.*")
    async def listen(number: int, ctx: Context) -> None:
        inbox.add((ctx.topic, number))

    bus = Bus("listener", url)
    bus.include(group, prefix="event.")
    with anyio.fail_after(10):
        async with bus:
            await bus.publish("event.email.stored", 3)
            await inbox.full.wait()
    assert inbox.items == [("event.email.stored", 3)]


async def test_sixty_four_and_more_unhandled_events_do_not_keep_a_bus_from_leaving(url: str) -> None:
    release, started = anyio.Event(), anyio.Event()
    bus = Bus("slow", url, drain_timeout=0.01)

    @bus.event_handler("n")
    async def listen(number: int) -> None:
        started.set()
        await release.wait()

    with anyio.fail_after(10):
        async with Bus("teller", url) as teller:
            async with bus:
                for number in range(200):
                    await teller.publish("n", number)
                await started.wait()
            assert bus.status == "closed"


@pytest.mark.parametrize(("max_frame", "window"), [(4096, 1 << 20), (4096, 300), (1 << 20, 5000)])
async def test_a_broker_that_takes_small_frames_only_is_sent_small_batches(max_frame: int, window: int) -> None:
    """Batches are made of many events, but never larger than the broker takes, nor than its window."""
    limits = BrokerLimits(max_frame=max_frame, routing=RoutingLimits(publish_window=window))
    inbox = Inbox(300)
    with anyio.fail_after(20):
        async with Broker("tcp://127.0.0.1:0", limits=limits) as broker:
            listener = Bus("listener", broker.url)

            @listener.event_handler()
            async def listen(event: Stored) -> None:
                inbox.add(event.number)

            async with listener, Bus("publisher", broker.url) as publisher:
                for number in range(300):
                    await publisher.publish(Stored(number=number), headers={"filler": "x" * 100})
                await inbox.full.wait()
    assert inbox.items == list(range(300))
