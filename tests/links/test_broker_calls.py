"""Calls over channels that a test plays: nothing hangs, nothing is lost or counted twice."""

import anyio
import pytest

from cqrsbus import (
    Code,
    ConnectionLostError,
    DeadlineExceededError,
    DeliveryUnknownError,
    PayloadTooLargeError,
)
from cqrsbus.links.port import Described, Instance, LinkStatus, StreamTerms
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import encode_header
from tests.links.scripted import TERMS, FakeChannel, Outcome, outgoing, running

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back at once."""
    monkeypatch.setattr("cqrsbus.links.backoff.random.uniform", lambda low, high: 0.0)


async def test_a_call_that_waits_for_room_keeps_its_own_timeout() -> None:
    channel = FakeChannel()
    async with running(channel) as (link, _):
        channel.roomy = False
        with pytest.raises(DeadlineExceededError):
            await link.ask(outgoing(), timeout=0.05)
        assert channel.silent


async def test_a_call_that_waits_for_room_survives_the_loss_of_that_connection() -> None:
    first, second, outcome = FakeChannel(), FakeChannel(), Outcome()
    async with running(first) as (link, broker), anyio.create_task_group() as tasks:
        first.roomy = False
        tasks.start_soon(outcome.of, link.ask(outgoing(), timeout=None))
        await anyio.lowlevel.checkpoint()
        first.hang_up()
        broker.next.append(second)
        ask = await second.said(Kind.ASK)
        second.say(Frame.of(Kind.REPLY, id=ask.id, body=b"\x01"))
        await outcome.ended.wait()
        assert outcome.error is None
        assert first.silent


async def test_calls_in_flight_when_the_connection_is_lost() -> None:
    channel, ask, send = FakeChannel(), Outcome(), Outcome()
    async with running(channel) as (link, _), anyio.create_task_group() as tasks:
        tasks.start_soon(ask.of, link.ask(outgoing(), timeout=None))
        await channel.said(Kind.ASK)
        tasks.start_soon(send.of, link.send(outgoing(), timeout=None, wait=False))
        await channel.said(Kind.SEND)
        channel.hang_up()
        await ask.ended.wait()
        await send.ended.wait()
    assert type(ask.error) is ConnectionLostError
    assert type(send.error) is DeliveryUnknownError


async def test_an_unconfirmed_send_is_of_unknown_fate_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cqrsbus.links.broker_calls.GRACE", 0.01)
    channel = FakeChannel()
    async with running(channel) as (link, _):
        with pytest.raises(DeliveryUnknownError):
            await link.send(outgoing(), timeout=0.02, wait=False)


async def test_more_calls_than_may_be_open_wait_for_a_place() -> None:
    channel = FakeChannel()
    outcomes = [Outcome() for _ in range(TERMS.max_open_requests + 2)]
    async with running(channel) as (link, _), anyio.create_task_group() as tasks:
        for outcome in outcomes:
            tasks.start_soon(outcome.of, link.ask(outgoing(), timeout=None))
        asks = [await channel.said(Kind.ASK) for _ in range(TERMS.max_open_requests)]
        await anyio.wait_all_tasks_blocked()
        assert channel.silent
        with pytest.raises(DeadlineExceededError, match="open already"):
            await link.ask(outgoing(), timeout=0.02)
        for ask in asks:
            channel.say(Frame.of(Kind.REPLY, id=ask.id))
        for _ in range(2):
            channel.say(Frame.of(Kind.REPLY, id=(await channel.said(Kind.ASK)).id))
        for outcome in outcomes:
            await outcome.ended.wait()
            assert outcome.error is None


async def test_a_place_is_not_lost_on_a_call_that_leaves_while_it_waits_for_room() -> None:
    channel, outcome, scope = FakeChannel(), Outcome(), anyio.CancelScope()
    async with running(channel) as (link, _), anyio.create_task_group() as tasks:
        for _ in range(TERMS.max_open_requests):
            tasks.start_soon(Outcome().of, link.ask(outgoing(), timeout=None))
        asks = [await channel.said(Kind.ASK) for _ in range(TERMS.max_open_requests)]

        async def leave() -> None:
            with scope:
                await link.ask(outgoing(), timeout=None)

        for call in (leave(), link.ask(outgoing(), timeout=None)):
            tasks.start_soon(outcome.of, call)
            await anyio.wait_all_tasks_blocked()
        # The first of the two gets the place, and finds that there is no room now.
        channel.roomy = False
        channel.say(Frame.of(Kind.REPLY, id=asks[0].id))
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        channel.roomy = True
        scope.cancel()
        await channel.said(Kind.ASK)
        tasks.cancel_scope.cancel()


async def test_the_publish_window_holds_the_publisher_and_credit_lets_it_go_on() -> None:
    channel, outcome = FakeChannel(), Outcome()
    async with running(channel) as (link, _), anyio.create_task_group() as tasks:
        await link.publish(outgoing(TERMS.publish_window), timeout=1)
        sent = await channel.said(Kind.PUBLISH)
        with pytest.raises(DeadlineExceededError, match="keep up"):
            await link.publish(outgoing(), timeout=0.02)
        tasks.start_soon(outcome.of, link.publish(outgoing(), timeout=None))
        await anyio.wait_all_tasks_blocked()
        assert channel.silent
        channel.say(Frame(Kind.CREDIT, id=sent.size))
        await channel.said(Kind.PUBLISH)
        await outcome.ended.wait()
    assert outcome.error is None


async def test_an_event_takes_as_much_of_the_window_as_the_broker_counts() -> None:
    channel = FakeChannel()
    async with running(channel) as (link, _):
        await link.publish(outgoing(10), timeout=1)
        sent = await channel.said(Kind.PUBLISH)
        assert link._window._used == sent.size


async def test_who_is_cancelled_already_sends_nothing() -> None:
    channel = FakeChannel()
    async with running(channel) as (link, _):
        # A bus gives no time to who is cancelled.
        for call in (link.ask(outgoing(), timeout=0), link.send(outgoing(), timeout=0, wait=False)):
            with anyio.CancelScope() as scope:
                scope.cancel()
                await call
            assert scope.cancelled_caught
        assert channel.silent


async def test_an_event_of_a_new_connection_is_not_put_on_the_old_one() -> None:
    first, second = FakeChannel(), FakeChannel()
    async with running(first) as (link, broker):
        first.hang_up()
        while link.status is LinkStatus.CONNECTED:
            await anyio.lowlevel.checkpoint()
        broker.next.append(second)
        for _ in range(70):
            await link.publish(outgoing(), timeout=1)
        assert not second.silent


async def test_a_late_refusal_of_a_call_is_not_mistaken_for_one_of_an_event(caplog: pytest.LogCaptureFixture) -> None:
    channel = FakeChannel()
    async with running(channel) as (link, _):
        with pytest.raises(DeadlineExceededError):
            await link.ask(outgoing(), timeout=0.01)
        ask = await channel.said(Kind.ASK)
        reason = encode_header({"reason": "late"})
        channel.say(Frame.of(Kind.REJECT, id=ask.id, detail=Code.DEADLINE_EXCEEDED, header=reason))
        while not link.late_answers:
            await anyio.lowlevel.checkpoint()
        assert not caplog.records
        await link.publish(outgoing(), timeout=1)
        event = await channel.said(Kind.PUBLISH)
        channel.say(Frame.of(Kind.REJECT, id=event.id, detail=Code.PERMISSION_DENIED, header=reason))
        while not caplog.records:
            await anyio.lowlevel.checkpoint()
    assert caplog.records[0].getMessage() == "the broker refused an event: late"


async def test_a_caller_that_leaves_tells_the_broker() -> None:
    channel, asked = FakeChannel(), list[Frame]()
    async with running(channel) as (link, _):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Outcome().of, link.ask(outgoing(), timeout=None))
            asked.append(await channel.said(Kind.ASK))
            tasks.cancel_scope.cancel()
        assert (await channel.said(Kind.CANCEL)).id == asked[0].id


def described(call: int, *, service: str = "", body: bytes = b"") -> Frame:
    frame = Frame.of(Kind.REPLY, flags=Flag.MORE if service else Flag.NONE, id=call, body=body)
    frame.stamp = encode_header({"from": service, "instance": "i"}) if service else b""
    return frame


async def test_a_description_is_all_that_is_told() -> None:
    channel = FakeChannel()
    async with running(channel) as (link, _), anyio.create_task_group() as tasks:

        async def describe() -> None:
            found = await link.describe("query", "t", timeout=3)
            assert found == [Described(Instance("a", "i"), b"one"), Described(Instance("b", "i"), b"")]

        tasks.start_soon(describe)
        asked = await channel.said(Kind.DESCRIBE)
        assert (asked.topic, asked.header) == ("t", encode_header({"kind": "query"}))
        channel.say(
            described(asked.id, service="a", body=b"one"), described(asked.id, service="b"), described(asked.id)
        )


async def test_a_description_ends_in_time_and_with_its_connection() -> None:
    channel, second = FakeChannel(), FakeChannel()
    async with running(channel, second) as (link, _):
        with pytest.raises(DeadlineExceededError, match="no answer within"):
            await link.describe("query", "t", timeout=0.05)
        await channel.said(Kind.DESCRIBE)
        outcome = Outcome()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(outcome.of, link.describe("query", "t", timeout=3))
            await channel.said(Kind.DESCRIBE)
            channel.hang_up()
            await outcome.ended.wait()
        assert isinstance(outcome.error, ConnectionLostError)


def set_grace(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr("cqrsbus.links.broker_calls.GRACE", seconds)


async def test_a_broker_that_says_nothing_at_all_is_where_the_time_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    set_grace(monkeypatch, 0.01)
    channel = FakeChannel()
    async with running(channel) as (link, _):
        with pytest.raises(DeadlineExceededError) as caught:
            await link.ask(outgoing(), timeout=0.02)
        assert caught.value.stage == "reply"


async def test_a_broker_that_knows_where_the_time_was_lost_is_heard_out(monkeypatch: pytest.MonkeyPatch) -> None:
    set_grace(monkeypatch, 5)
    channel, outcome = FakeChannel(), Outcome()
    async with running(channel) as (link, _), anyio.create_task_group() as tasks:
        tasks.start_soon(outcome.of, link.ask(outgoing(), timeout=0.01))
        ask = await channel.said(Kind.ASK)
        await anyio.sleep(0.02)
        header = encode_header({"reason": "busy", "stage": "queue"})
        channel.say(Frame.of(Kind.REJECT, id=ask.id, detail=Code.DEADLINE_EXCEEDED, header=header))
        await outcome.ended.wait()
    assert isinstance(outcome.error, DeadlineExceededError)
    assert outcome.error.stage == "queue"


async def test_what_a_stream_is_asked_with() -> None:
    channel = FakeChannel()
    async with running(channel) as (link, _):
        replies = await link.stream(outgoing(), StreamTerms(timeout=1, lasts=None, items=7, size=100))
        ask, credit = await channel.said(Kind.ASK), await channel.said(Kind.CREDIT)
        assert (ask.flags, ask.ttl) == (Flag.STREAM, 0)
        assert (credit.flags, credit.id, credit.detail, credit.ttl) == (Flag.OF_STREAM, ask.id, 7, 100)
        replies.leave()
        assert (await channel.said(Kind.CANCEL)).id == ask.id


async def test_the_time_that_all_of_a_stream_may_take_is_told() -> None:
    channel = FakeChannel()
    async with running(channel) as (link, _):
        replies = await link.stream(outgoing(), StreamTerms(timeout=None, lasts=2.0, items=1, size=1))
        assert 1900 <= (await channel.said(Kind.ASK)).ttl <= 2000
        replies.leave()


async def test_what_every_instance_is_asked_with() -> None:
    channel = FakeChannel()
    async with running(channel) as (link, _):
        replies = await link.gather(outgoing(), timeout=2.0)
        ask = await channel.said(Kind.ASK)
        assert ask.flags == Flag.EVERY
        assert 1900 <= ask.ttl <= 2000
        assert channel.silent, "a gathering is not paid for"
        channel.say(Frame.of(Kind.REPLY, id=ask.id))
        assert await replies.next() is None
        replies.leave()


@pytest.mark.parametrize("timeout", [0, -1])
async def test_what_has_no_time_is_not_sent(timeout: float) -> None:
    channel = FakeChannel()
    async with running(channel) as (link, _):
        for call in (
            link.ask(outgoing(), timeout=timeout),
            link.send(outgoing(), timeout=timeout, wait=False),
            link.gather(outgoing(), timeout=timeout),
            link.stream(outgoing(), StreamTerms(timeout=timeout, lasts=None, items=1, size=1)),
        ):
            with pytest.raises(DeadlineExceededError) as caught:
                await call
            assert caught.value.stage == "connect"
        assert channel.silent


@pytest.mark.parametrize("way", ["gather", "stream"])
async def test_a_query_to_several_that_is_too_large_is_refused_and_takes_no_place(way: str) -> None:
    channel = FakeChannel()
    terms = StreamTerms(timeout=1, lasts=None, items=1, size=1)
    async with running(channel) as (link, _):
        large = outgoing(TERMS.max_frame)
        with pytest.raises(PayloadTooLargeError, match=str(TERMS.max_frame)):
            await (link.gather(large, timeout=1) if way == "gather" else link.stream(large, terms))
        assert channel.silent
        assert len(link._calls) == 0
