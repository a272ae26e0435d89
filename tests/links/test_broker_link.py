"""A link over channels that a test plays: nothing hangs, nothing is lost or counted twice."""

import anyio
import pytest

from cqrsbus import (
    Code,
    ConnectError,
    ConnectionLostError,
    DeadlineExceededError,
    InvalidMessageError,
    QueueFullError,
)
from cqrsbus.links.broker_link import BrokerLink
from cqrsbus.links.port import Deliveries, Delivery, LinkStatus, Sink, SubscriptionSpec
from cqrsbus.links.socket_channel import NotABrokerError
from cqrsbus.wire.envelope import Envelope, encode_envelope
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import encode_header
from tests.links.scripted import NOTHING, TERMS, Broker, FakeChannel, Outcome, outgoing, running

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back at once."""
    monkeypatch.setattr("cqrsbus.links.backoff.random.uniform", lambda low, high: 0.0)


async def test_subscribing_in_a_cancelled_scope_is_cancelled_even_without_a_connection() -> None:
    channel = FakeChannel()
    async with running(channel) as (link, _):
        channel.hang_up()
        while link.status is LinkStatus.CONNECTED:
            await anyio.lowlevel.checkpoint()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await link.subscribe(SubscriptionSpec(kind="event", pattern="e"), lambda delivery: None, timeout=0)
        assert scope.cancelled_caught
        assert not link._subscriptions


async def test_attempts_that_are_lost_midway_keep_no_places() -> None:
    handlers: list[tuple[SubscriptionSpec, Sink]] = [
        (SubscriptionSpec(kind="event", pattern=f"e{number}"), lambda delivery: None) for number in range(3)
    ]
    channel, outcome = FakeChannel(), Outcome()
    lost = [FakeChannel() for _ in range(TERMS.max_open_requests)]
    broker = Broker()
    broker.next += [*lost, channel]
    link = BrokerLink(broker.open, "fake")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:

            async def start() -> None:
                await tasks.start(link.run, handlers)
                tasks.start_soon(outcome.of, link.ask(outgoing(), timeout=None))

            tasks.start_soon(start)
            for each in lost:
                for _ in handlers:
                    await each.said(Kind.SUBSCRIBE)
                each.hang_up()
            for _ in handlers:
                channel.say(Frame(Kind.CONFIRM, id=(await channel.said(Kind.SUBSCRIBE)).id, detail=64))
            channel.say(Frame.of(Kind.REPLY, id=(await channel.said(Kind.ASK)).id))
            await outcome.ended.wait()
            tasks.cancel_scope.cancel()
    assert outcome.error is None


def confirmed(frame: Frame) -> Frame:
    return Frame(Kind.CONFIRM, id=frame.id, detail=64)


EVENTS = SubscriptionSpec(kind="event", pattern="e")


async def subscribe(link: BrokerLink) -> None:
    await link.subscribe(EVENTS, lambda delivery: None, timeout=None)


async def test_who_leaves_while_being_restored_is_unsubscribed() -> None:
    first, second = FakeChannel(), FakeChannel()
    async with running(first) as (link, broker), anyio.create_task_group() as tasks:

        async def subscribe_and_leave() -> None:
            subscribed = await link.subscribe(EVENTS, lambda delivery: None, timeout=None)
            first.hang_up()
            await restoring.wait()
            await subscribed.unsubscribe()

        restoring = anyio.Event()
        tasks.start_soon(subscribe_and_leave)
        first.say(confirmed(await first.said(Kind.SUBSCRIBE)))
        broker.next.append(second)
        request = await second.said(Kind.SUBSCRIBE)
        restoring.set()
        unsubscribe = await second.said(Kind.UNSUBSCRIBE)
        assert unsubscribe.channel == request.channel
        second.say(confirmed(request), confirmed(unsubscribe))
    assert link._subscriptions == {}


async def test_who_leaves_while_subscribing_waits_for_nobody() -> None:
    channel, scope, left = FakeChannel(), anyio.CancelScope(), anyio.Event()
    async with running(channel) as (link, _), anyio.create_task_group() as tasks:

        async def subscribe_and_leave() -> None:
            with scope:
                await subscribe(link)
            left.set()

        tasks.start_soon(subscribe_and_leave)
        request = await channel.said(Kind.SUBSCRIBE)
        scope.cancel()
        await left.wait()
        await channel.said(Kind.CANCEL)
        assert (await channel.said(Kind.UNSUBSCRIBE)).channel == request.channel
        assert (link._subscriptions, len(link._calls)) == ({}, 0)


async def test_whose_time_to_subscribe_is_over_waits_for_nobody_either() -> None:
    channel = FakeChannel()
    async with running(channel) as (link, _):
        with pytest.raises(DeadlineExceededError):
            await link.subscribe(EVENTS, lambda delivery: None, timeout=0.01)
        request = await channel.said(Kind.SUBSCRIBE)
        assert (await channel.said(Kind.UNSUBSCRIBE)).channel == request.channel


async def test_who_is_cancelled_while_unsubscribing_waits_no_more() -> None:
    channel, scope, left = FakeChannel(), anyio.CancelScope(), anyio.Event()
    async with running(channel) as (link, _), anyio.create_task_group() as tasks:

        async def subscribe_and_leave() -> None:
            subscribed = await link.subscribe(EVENTS, lambda delivery: None, timeout=None)
            with scope:
                await subscribed.unsubscribe()
            left.set()

        tasks.start_soon(subscribe_and_leave)
        channel.say(confirmed(await channel.said(Kind.SUBSCRIBE)))
        await channel.said(Kind.UNSUBSCRIBE)
        scope.cancel()
        await left.wait()
        assert (link._subscriptions, len(link._calls)) == ({}, 0)


async def test_one_that_is_refused_after_a_loss_is_told_who_asked_for_it_and_harms_nobody_else() -> None:
    first, second, outcome = FakeChannel(), FakeChannel(), Outcome()
    async with running(first) as (link, broker), anyio.create_task_group() as tasks:
        tasks.start_soon(outcome.of, subscribe(link))
        await first.said(Kind.SUBSCRIBE)
        first.hang_up()
        broker.next.append(second)
        request = await second.said(Kind.SUBSCRIBE)
        assert link.status is LinkStatus.CONNECTED
        second.say(Frame(Kind.REJECT, id=request.id, detail=Code.QUEUE_FULL))
        await outcome.ended.wait()
        assert link.status is LinkStatus.CONNECTED
    assert isinstance(outcome.error, QueueFullError)


@pytest.mark.parametrize("when", ["while draining", "before"])
async def test_after_a_loss_a_link_that_drains_takes_nothing_new(when: str) -> None:
    first, second = FakeChannel(), FakeChannel()
    async with running(first) as (link, broker), anyio.create_task_group() as tasks:
        there = Outcome()
        tasks.start_soon(there.of, subscribe(link))
        first.say(confirmed(await first.said(Kind.SUBSCRIBE)))
        await there.ended.wait()
        if when == "while draining":
            tasks.start_soon(link.drain)
            await first.said(Kind.DRAIN)
        first.hang_up()
        while link.status is LinkStatus.CONNECTED:
            await anyio.lowlevel.checkpoint()
        if when == "before":
            await link.drain()
        broker.next.append(second)
        outcome = Outcome()
        tasks.start_soon(outcome.of, link.ask(outgoing(), timeout=None))
        # What was begun may still ask; nothing was said before that.
        second.say(Frame.of(Kind.REPLY, id=(await second.said(Kind.ASK)).id))
        await outcome.ended.wait()
        assert outcome.error is None
        with pytest.raises(ConnectionLostError, match="being closed"):
            await subscribe(link)
        await second.said(Kind.UNSUBSCRIBE)
        assert second.silent


async def test_no_credit_is_lost_on_events_that_come_right_behind_the_confirmation() -> None:
    """They are handled in the same turn: before anybody had time to look at the confirmation."""
    channel, taken, returned = FakeChannel(), list[Delivery](), 0

    def take(deliveries: Deliveries) -> None:
        taken.extend(deliveries)
        for each in deliveries:
            each.done()

    async with running(channel) as (link, _), anyio.create_task_group() as tasks:
        outcome = Outcome()
        spec = SubscriptionSpec(kind="event", pattern="e", credit_messages=8)
        tasks.start_soon(outcome.of, link.subscribe(spec, take, timeout=None))
        subscribe = await channel.said(Kind.SUBSCRIBE)
        header = encode_envelope(Envelope("m"))
        event = Frame.of(Kind.DELIVER, channel=subscribe.channel, topic=b"e", header=header, detail=1)
        confirm = Frame(Kind.CONFIRM, id=subscribe.id, detail=8, ttl=4_000_000)
        channel.say(confirm, *[event] * 8)
        while returned < 8:
            returned += (await channel.said(Kind.CREDIT)).detail
        await outcome.ended.wait()
    assert returned == len(taken) == 8


def _settle_all(deliveries: Deliveries) -> None:
    for each in deliveries:
        each.done()


@pytest.mark.parametrize("granted_bytes", [1000, 100_000, 4 * 1024 * 1024])
async def test_byte_credit_comes_back_before_it_is_used_up(granted_bytes: int) -> None:
    channel, size = FakeChannel(), min(60_000, granted_bytes)
    async with running(channel) as (link, _), anyio.create_task_group() as tasks:
        outcome = Outcome()
        spec = SubscriptionSpec(kind="event", pattern="e")
        tasks.start_soon(outcome.of, link.subscribe(spec, _settle_all, timeout=None))
        subscribe = await channel.said(Kind.SUBSCRIBE)
        channel.say(Frame(Kind.CONFIRM, id=subscribe.id, detail=1024, ttl=granted_bytes))
        await outcome.ended.wait()
        header = encode_envelope(Envelope("m"))
        in_hand = 0
        while in_hand < granted_bytes:
            event = Frame.of(Kind.DELIVER, channel=subscribe.channel, topic=b"e", header=header, body=b"x" * size)
            channel.say(event)
            in_hand += len(event.tail)
        await channel.said(Kind.CREDIT)


async def test_what_is_no_broker_any_more_is_tried_again_but_not_at_the_start() -> None:
    broker = Broker()
    broker.next.append(NotABrokerError("silence"))
    with anyio.fail_after(5), pytest.raises(ConnectError, match="silence"):
        await BrokerLink(broker.open, "fake").run(NOTHING, task_status=anyio.TASK_STATUS_IGNORED)
    first, second = FakeChannel(), FakeChannel()
    async with running(first) as (link, broker):
        broker.next += [NotABrokerError("silence"), ConnectError("refused"), second]
        first.hang_up()
        while link.status is LinkStatus.CONNECTED:
            await anyio.lowlevel.checkpoint()
        await link.wait_connected()
        assert second.silent
        assert not second.closed


async def test_a_broker_that_takes_nothing_any_more_is_left() -> None:
    first, second = FakeChannel(), FakeChannel()
    async with running(first) as (link, broker):
        broker.next.append(second)
        first.stuck.set()
        while not first.closed:
            await anyio.lowlevel.checkpoint()
        await link.wait_connected()


@pytest.mark.parametrize("entries", [5, "text", None, [1, 2], {"a": 1}])
async def test_a_handlers_odd_words_harm_nobody_but_itself(entries: object) -> None:
    channel, outcome = FakeChannel(), Outcome()
    async with running(channel) as (link, _), anyio.create_task_group() as tasks:
        tasks.start_soon(outcome.of, link.ask(outgoing(), timeout=None))
        ask = await channel.said(Kind.ASK)
        header = encode_header({"entries": entries})  # type: ignore[dict-item]
        channel.say(Frame.of(Kind.REPLY, id=ask.id, flags=Flag.FAILED, detail=Code.INVALID_MESSAGE, header=header))
        await outcome.ended.wait()
        assert link.status is LinkStatus.CONNECTED
    assert isinstance(outcome.error, InvalidMessageError)
    assert outcome.error.entries == ()


async def test_a_refused_handler_ends_the_link() -> None:
    channel = FakeChannel()
    broker = Broker()
    broker.next.append(channel)
    link = BrokerLink(broker.open, "fake")
    handlers: list[tuple[SubscriptionSpec, Sink]] = [(SubscriptionSpec(kind="event", pattern="e"), lambda _: None)]

    async def run() -> None:
        async with anyio.create_task_group() as tasks:

            async def refuse() -> None:
                subscribe = await channel.said(Kind.SUBSCRIBE)
                channel.say(Frame(Kind.REJECT, id=subscribe.id, detail=Code.QUEUE_FULL))

            tasks.start_soon(refuse)
            with pytest.raises(QueueFullError):
                await link.run(handlers, task_status=anyio.TASK_STATUS_IGNORED)

    with anyio.fail_after(5):
        await run()
    assert channel.closed
    assert link.status is LinkStatus.CLOSED
