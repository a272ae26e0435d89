"""One connection, from its greeting to its loss."""

import logging
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from cqrsbus.errors import (
    Code,
    ConnectionLostError,
    NoHandlerError,
    ProtocolError,
    RemoteError,
    TopologyError,
)
from cqrsbus.links.call import Call, Verb
from cqrsbus.links.calls import OpenCalls
from cqrsbus.links.conversation import Conversation
from cqrsbus.links.local_subscription import LocalSubscription
from cqrsbus.links.port import Delivery, SubscriptionSpec
from cqrsbus.links.window import Window
from cqrsbus.wire.envelope import Envelope, encode_envelope
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import encode_header
from cqrsbus.wire.stamp import stamp_of
from tests.links.channels import FakeChannel, outcome
from tests.wire.batches import batch, numbered_header, numbered_id

pytestmark = pytest.mark.anyio


class Talk:
    """A conversation and all it talks about."""

    def __init__(self, *patterns: str, channel: FakeChannel | None = None) -> None:
        self.channel = channel or FakeChannel()
        self.calls = OpenCalls()
        self.window = Window()
        self.delivered: list[Delivery] = []
        self.subscriptions: dict[int, LocalSubscription] = {}
        for pattern in patterns:
            self.listen(pattern)
        self.conversation = Conversation(self.channel, self.calls, self.window, self.subscriptions)
        self.ready = anyio.Event()
        self.end: str | None = None

    def listen(self, pattern: str, *, established: bool = True) -> None:
        number = len(self.subscriptions) + 1
        spec = SubscriptionSpec(kind="event", pattern=pattern)
        self.subscriptions[number] = LocalSubscription(number, spec, self.delivered.extend, established=established)

    def call(self, verb: Verb = Verb.ASK) -> Call:
        return self.calls.open(verb, "a.topic", timeout=None, deadline=math.inf)

    async def run(self) -> None:
        self.end = await self.conversation.run(on_ready=self.ready.set)

    async def confirm(self) -> str:
        """Confirm the next subscription; returns its pattern."""
        request = await self.channel.expect(Kind.SUBSCRIBE)
        self.channel.say(Frame(Kind.CONFIRM, id=request.id, detail=64, ttl=1 << 20))
        return request.topic

    async def heard(self, *frames: Frame) -> None:
        """Say these, and wait until they were read."""
        self.channel.say(*frames, Frame(Kind.PING, id=999))
        while (await self.channel.expect_any()).id != 999:
            pass


@asynccontextmanager
async def talking(talk: Talk) -> AsyncGenerator[Talk, None]:
    """In a conversation that is ready; it is ended at the end."""
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(talk.run)
            for _ in talk.subscriptions:
                await talk.confirm()
            await talk.ready.wait()
            yield talk
            talk.channel.end()


def deliver(channel: int, *, id: int = 0, flags: int = Flag.NONE) -> Frame:
    header = encode_envelope(Envelope("m"))
    return Frame.of(Kind.DELIVER, channel=channel, id=id, flags=flags, topic=b"a.b", header=header)


def queried(id: int) -> Frame:
    """One that may be delivered in a batch."""
    flags, header = Flag.NEEDS_REPLY, numbered_header(id)
    return Frame.of(Kind.DELIVER, flags=flags, id=id, topic=b"a.b", header=header, body=b"%d" % id)


def said(kind: Kind, id: int, code: Code, *, flags: int = Flag.NONE, **fields: str) -> Frame:
    return Frame.of(kind, id=id, detail=code, flags=flags, header=encode_header(fields))


class TestRestoring:
    async def test_it_is_ready_once_all_are_confirmed_but_those_that_were_never_there_yet(self) -> None:
        talk = Talk("a", "b")
        talk.listen("new", established=False)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(talk.run)
                assert await talk.confirm() == "a"
                assert not talk.ready.is_set()
                assert await talk.confirm() == "b"
                await talk.ready.wait()
                assert talk.channel.frames == []
                talk.channel.end()
        confirmed = [each.spec.pattern for each in talk.subscriptions.values() if each.confirmed_on is talk.channel]
        assert confirmed == ["a", "b"]
        assert len(talk.calls) == 0

    async def test_none_is_subscribed_once_no_more_are_wanted(self) -> None:
        talk = Talk("a")
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(talk.conversation.drain)
                await talk.channel.expect(Kind.DRAIN)
                tasks.start_soon(talk.run)
                await talk.ready.wait()
                assert talk.channel.frames == []
                talk.channel.end()

    async def test_one_that_is_refused_ends_it(self) -> None:
        talk = Talk("a", "b")
        with anyio.fail_after(5):
            with pytest.RaisesGroup(pytest.RaisesExc(TopologyError, match="another owner")):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(talk.run)
                    request = await talk.channel.expect(Kind.SUBSCRIBE)
                    talk.channel.say(said(Kind.REJECT, request.id, Code.TOPOLOGY, reason="another owner"))
        assert not talk.ready.is_set()


class TestTheEnd:
    async def test_the_broker_closed(self) -> None:
        async with talking(Talk()) as talk:
            talk.channel.end()
        assert talk.end == "the broker closed the connection"

    @pytest.mark.parametrize("error", [ConnectionLostError("it broke"), ProtocolError("it broke")])
    async def test_it_broke(self, error: ConnectionLostError | ProtocolError) -> None:
        talk = Talk()
        with anyio.fail_after(5):
            talk.channel.end(error)
            await talk.run()
        assert talk.end == "it broke"

    async def test_the_brokers_last_words(self) -> None:
        talk = Talk("a")
        with anyio.fail_after(5):
            goodbye = said(Kind.ERROR, 0, Code.SHUTTING_DOWN, reason="closing time")
            talk.channel.say(deliver(1), goodbye)
            await talk.run()
        assert talk.end == "the broker ended the connection: closing time"
        assert len(talk.delivered) == 1

    async def test_the_broker_takes_nothing(self) -> None:
        talk = Talk()
        talk.channel.stuck = TimeoutError()
        with anyio.fail_after(5):
            await talk.run()
        assert talk.end == "the broker takes nothing any more"

    async def test_the_broker_is_silent(self) -> None:
        talk = Talk(channel=FakeChannel(heartbeat=0.02))
        talk.channel.last_received = talk.channel.last_sent = anyio.current_time()
        with anyio.fail_after(5):
            await talk.run()
        assert talk.end == "nothing was received for 0.05 s"

    async def test_who_works_for_a_caller_over_it_is_told(self) -> None:
        talk, told = Talk("a"), list[int]()
        async with talking(talk):
            await talk.heard(*(deliver(1, id=id, flags=Flag.NEEDS_REPLY) for id in (1, 2, 3)))
            for number, delivery in enumerate(talk.delivered):
                delivery.on_cancel = lambda number=number: told.append(number)
            talk.delivered[0].done()
        assert told == [1, 2]
        assert [delivery.cancelled for delivery in talk.delivered] == [False, True, True]


class TestWhatComes:
    async def test_deliveries_go_where_they_belong(self) -> None:
        async with talking(Talk("a", "b")) as talk:
            before = anyio.current_time()
            timed = deliver(2, id=1, flags=Flag.NEEDS_ACK)
            timed.ttl = 60_000
            await talk.heard(deliver(1), timed)
            (untimed, due) = talk.delivered
            assert untimed.deadline is None
            assert due.deadline is not None
            assert 60 <= due.deadline - before < 65

    async def test_one_that_crossed_our_farewell_is_handed_back(self) -> None:
        async with talking(Talk()) as talk:
            strays = [deliver(9, id=5, flags=Flag.NEEDS_ACK), deliver(9, id=6, flags=Flag.NEEDS_REPLY), deliver(9)]
            talk.channel.say(*strays, Frame(Kind.PING, id=7))
            for id in (5, 6):
                assert await talk.channel.expect(Kind.NACK) == Frame(Kind.NACK, id=id, detail=Code.HANDLER_LOST)
            await talk.channel.expect(Kind.PONG)

    async def test_what_came_together_is_delivered_and_cancelled_one_by_one(self) -> None:
        async with talking(Talk("a")) as talk:
            together = batch(*(queried(id) for id in (5, 6, 7)))
            together.channel = 1
            await talk.heard(together, Frame(Kind.CANCEL, id=6))
            assert [(each.envelope.message_id, each.body) for each in talk.delivered] == [
                (numbered_id(id), b"%d" % id) for id in (5, 6, 7)
            ]
            assert [each.cancelled for each in talk.delivered] == [False, True, False]

    async def test_what_came_together_and_crossed_our_farewell_is_handed_back_one_by_one(self) -> None:
        async with talking(Talk()) as talk:
            talk.channel.say(batch(*(queried(id) for id in (5, 6))))
            for id in (5, 6):
                assert await talk.channel.expect(Kind.NACK) == Frame(Kind.NACK, id=id, detail=Code.HANDLER_LOST)

    async def test_answers_that_came_together_end_their_calls(self) -> None:
        async with talking(Talk()) as talk:
            calls = [talk.call() for _ in range(3)]
            replies = [Frame.of(Kind.REPLY, id=call.id, body=b"%d" % call.id) for call in calls]
            talk.calls.close(calls[1])
            await talk.heard(batch(*replies))
            assert [await outcome(call) for call in (calls[0], calls[2])] == [replies[0], replies[2]]
            assert talk.calls.late == 1

    @pytest.mark.parametrize("kind", [Kind.REPLY, Kind.DELIVER])
    async def test_a_batch_that_is_none_ends_the_connection(self, kind: Kind) -> None:
        talk = Talk("a")
        with anyio.fail_after(5):
            talk.channel.say(Frame(Kind.CONFIRM, id=1, detail=64, ttl=1 << 20))
            talk.channel.say(Frame(kind, id=5, channel=1, flags=Flag.BATCH, detail=2, tail=b"short"))
            await talk.run()
        assert talk.end == "a batch is shorter than the lengths of its bodies"

    async def test_a_caller_that_left(self) -> None:
        async with talking(Talk("a")) as talk:
            await talk.heard(deliver(1, id=1, flags=Flag.NEEDS_REPLY), deliver(1, id=2, flags=Flag.NEEDS_REPLY))
            await talk.heard(Frame(Kind.CANCEL, id=2), Frame(Kind.CANCEL, id=77))
            assert [delivery.cancelled for delivery in talk.delivered] == [False, True]

    async def test_answers_end_their_calls_and_late_ones_are_counted(self) -> None:
        async with talking(Talk()) as talk:
            answered, failed, rejected, waiting = (talk.call() for _ in range(4))
            reply = Frame.of(Kind.REPLY, id=answered.id, body=b"x")
            await talk.heard(
                reply,
                said(Kind.REPLY, failed.id, Code.REMOTE_ERROR, flags=Flag.FAILED, type="KeyError", reason="k"),
                said(Kind.REJECT, rejected.id, Code.NO_HANDLER, reason="nobody"),
                Frame(Kind.REPLY, id=4711),
            )
            assert await outcome(answered) == reply
            with pytest.raises(RemoteError, match=r"for 'a\.topic': KeyError: k"):
                await outcome(failed)
            with pytest.raises(NoHandlerError, match=r"for 'a\.topic': nobody"):
                await outcome(rejected)
            assert not waiting.is_done
            assert talk.calls.late == 1

    async def test_a_failure_brings_the_handlers_service_and_the_fields_of_its_error(self) -> None:
        async with talking(Talk()) as talk:
            call = talk.call()
            header = encode_header({"type": "MailboxLocked", "ct": "application/json"})
            failed = Frame.of(
                Kind.REPLY, id=call.id, flags=Flag.FAILED, detail=Code.REMOTE_ERROR, header=header, body=b"{}"
            )
            failed.stamp = stamp_of("mailer")
            await talk.heard(failed)
            with pytest.raises(RemoteError) as caught:
                await outcome(call)
            assert caught.value.service == "mailer"
            assert (caught.value.content_type, caught.value.body) == ("application/json", b"{}")

    @pytest.mark.parametrize(("id", "logged"), [(0, 1), (5, 0)], ids=["event", "late call"])
    async def test_a_refused_event_is_logged(self, id: int, logged: int, caplog: pytest.LogCaptureFixture) -> None:
        async with talking(Talk()) as talk:
            with caplog.at_level(logging.WARNING, "cqrsbus"):
                await talk.heard(said(Kind.REJECT, id, Code.PERMISSION_DENIED, reason="not you"))
        assert [record.getMessage() for record in caplog.records] == ["the broker refused an event: not you"] * logged

    async def test_credit_opens_the_window(self) -> None:
        async with talking(Talk()) as talk:
            talk.window.reset(10)
            talk.window.use(10)
            await talk.heard(Frame(Kind.CREDIT, channel=1, id=10))
            assert not talk.window.is_open
            await talk.heard(Frame(Kind.CREDIT, channel=0, id=1))
            assert talk.window.is_open

    async def test_a_ping_is_answered(self) -> None:
        async with talking(Talk()) as talk:
            talk.channel.say(Frame(Kind.PING, id=6))
            assert await talk.channel.expect(Kind.PONG) == Frame(Kind.PONG, id=6)

    async def test_who_is_silent_says_ping(self) -> None:
        channel = FakeChannel(heartbeat=0.02)
        channel.last_received = math.inf
        async with talking(Talk(channel=channel)):
            assert await channel.expect(Kind.PING) == Frame(Kind.PING)


class TestWaiting:
    async def test_a_flush_ends_with_its_own_answer(self) -> None:
        ended: list[int] = []

        async def flush(number: int) -> None:
            await talk.conversation.flush()
            ended.append(number)

        async with talking(Talk()) as talk, anyio.create_task_group() as tasks:
            for number in (1, 2):
                tasks.start_soon(flush, number)
                ping = await talk.channel.expect(Kind.PING)
                assert ping.id == number
            await talk.heard(Frame(Kind.PONG, id=1))
            await anyio.wait_all_tasks_blocked()
            assert len(ended) == 1
            talk.channel.say(Frame(Kind.PONG, id=2))
        assert len(ended) == 2

    async def test_a_drain_ends_with_the_brokers_farewell(self) -> None:
        drained = anyio.Event()

        async def drain() -> None:
            await talk.conversation.drain()
            drained.set()

        async with talking(Talk()) as talk, anyio.create_task_group() as tasks:
            tasks.start_soon(drain)
            await talk.channel.expect(Kind.DRAIN)
            await anyio.wait_all_tasks_blocked()
            assert not drained.is_set()
            talk.channel.say(Frame(Kind.DRAIN))
            await drained.wait()

    @pytest.mark.parametrize("what", ["drain", "flush"])
    async def test_the_end_of_the_connection_is_the_end_of_waiting(self, what: str) -> None:
        async with talking(Talk()) as talk:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(getattr(talk.conversation, what))
                await talk.channel.expect(Kind.DRAIN if what == "drain" else Kind.PING)
                talk.channel.end()
            await getattr(talk.conversation, what)()
