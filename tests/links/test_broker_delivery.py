"""How deliveries are settled, and what they tell."""

import anyio
import pytest

from cqrsbus.errors import Code, PayloadTooLargeError, ProtocolError
from cqrsbus.links.broker_delivery import BrokerDelivery
from cqrsbus.links.source import Source
from cqrsbus.links.unbuffered_outbox import UnbufferedOutbox
from cqrsbus.wire.envelope import Envelope, encode_envelope
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import decode_header, encode_header
from tests.links.channels import FakeChannel
from tests.wire.batches import numbered_header, numbered_id

ENVELOPE = encode_envelope(Envelope("m-1"))


def delivery(
    channel: FakeChannel,
    flags: int = Flag.NEEDS_REPLY,
    *,
    id: int = 5,
    body: bytes = b"body",
    open_deliveries: dict[int, BrokerDelivery] | None = None,
) -> BrokerDelivery:
    frame = Frame.of(Kind.DELIVER, flags=flags, id=id, topic=b"a.b", header=ENVELOPE, body=body, detail=2)
    frame.stamp = encode_header({"from": "asker"})
    given = {} if open_deliveries is None else open_deliveries
    return BrokerDelivery(frame, Source(frame, channel, 7.5), 0, frame.body, given)


def test_what_a_delivery_tells() -> None:
    given = delivery(FakeChannel())
    assert (given.topic, given.envelope, given.body) == ("a.b", Envelope("m-1"), b"body")
    assert (given.sender, given.attempt, given.deadline, given.cancelled) == ("asker", 2, 7.5, False)


def test_an_unintelligible_header_is_found_when_it_is_looked_at() -> None:
    frame = Frame.of(Kind.DELIVER, id=1, topic=b"a", header=b"\xc1")
    given = BrokerDelivery(frame, Source(frame, FakeChannel(), None), 0, frame.body, {})
    with pytest.raises(ProtocolError):
        _ = given.envelope


@pytest.mark.parametrize("stamp", [b"", b"\xc1", b"\x01", encode_header({"other": "x"})])
def test_a_stamp_that_names_nobody(stamp: bytes) -> None:
    frame = Frame(Kind.DELIVER, id=1, stamp=stamp)
    assert BrokerDelivery(frame, Source(frame, FakeChannel(), None), 0, frame.body, {}).sender == ""


class TestSettling:
    def test_whether_an_answer_is_wanted(self) -> None:
        assert delivery(FakeChannel()).wants_answer
        assert not delivery(FakeChannel(), Flag.NEEDS_ACK).wants_answer

    def test_it_keeps_what_it_said_no_longer_than_it_must(self) -> None:
        given = delivery(FakeChannel())
        given.done()
        assert (given.topic, given.envelope, given.body) == ("a.b", Envelope("m-1"), b"")

    def test_an_answer(self) -> None:
        channel = FakeChannel()
        delivery(channel).reply("application/msgpack", b"\x01")
        delivery(channel).reply("application/json", b"1")
        assert channel.frames == [
            Frame.of(Kind.REPLY, id=5, body=b"\x01"),
            Frame.of(Kind.REPLY, id=5, header=encode_header({"ct": "application/json"}), body=b"1"),
        ]

    @pytest.mark.parametrize(("flags", "kind"), [(Flag.NEEDS_REPLY, Kind.REPLY), (Flag.NEEDS_ACK, Kind.ACK)])
    def test_done(self, flags: int, kind: Kind) -> None:
        channel = FakeChannel()
        delivery(channel, flags).done()
        assert channel.frames == [Frame(kind, id=5)]

    @pytest.mark.parametrize(
        ("flags", "code", "kind", "said_flags"),
        [
            (Flag.NEEDS_REPLY, Code.REMOTE_ERROR, Kind.REPLY, Flag.FAILED),
            (Flag.NEEDS_REPLY, Code.INVALID_MESSAGE, Kind.REPLY, Flag.FAILED),
            (Flag.NEEDS_REPLY, Code.CANCELLED, Kind.NACK, Flag.NONE),
            (Flag.NEEDS_REPLY, Code.DEADLINE_EXCEEDED, Kind.NACK, Flag.NONE),
            (Flag.NEEDS_ACK, Code.REMOTE_ERROR, Kind.NACK, Flag.NONE),
        ],
    )
    def test_a_failure_is_a_reply_only_if_the_handler_said_it(
        self, flags: int, code: Code, kind: Kind, said_flags: int
    ) -> None:
        channel = FakeChannel()
        delivery(channel, flags).fail(code, {"reason": "why"})
        header = encode_header({"reason": "why"})
        assert channel.frames == [Frame.of(kind, id=5, flags=said_flags, detail=code, header=header)]

    @pytest.mark.parametrize("flags", [Flag.NEEDS_REPLY, Flag.NEEDS_ACK])
    def test_handed_back(self, flags: int) -> None:
        channel = FakeChannel()
        delivery(channel, flags).hand_back()
        assert channel.frames == [Frame(Kind.NACK, id=5, detail=Code.HANDLER_LOST)]

    @pytest.mark.parametrize("flags", [Flag.NEEDS_REPLY, Flag.NEEDS_ACK])
    @pytest.mark.parametrize("first", ["done", "reply", "fail", "hand_back"])
    def test_only_the_first_word_counts(self, flags: int, first: str) -> None:
        channel, open_deliveries = FakeChannel(), dict[int, BrokerDelivery]()
        given = delivery(channel, flags, open_deliveries=open_deliveries)
        given.on_cancel = lambda: None
        assert open_deliveries == {5: given}
        says = {
            "done": given.done,
            "reply": lambda: given.reply("application/msgpack", b""),
            "fail": lambda: given.fail(Code.REMOTE_ERROR, {}),
            "hand_back": given.hand_back,
        }
        for say in (says[first], *says.values()):
            say()
        assert len(channel.frames) == 1
        assert open_deliveries == {}
        assert given.on_cancel is None

    def test_an_answer_that_is_too_large_is_a_failure(self) -> None:
        channel = FakeChannel(max_frame=100)
        delivery(channel).reply("application/msgpack", b"x" * 72)
        delivery(channel).reply("application/msgpack", b"x" * 73)
        fits, refused = channel.frames
        assert (fits.kind, fits.size) == (Kind.REPLY, 100)
        assert (refused.kind, refused.detail) == (Kind.NACK, Code.PAYLOAD_TOO_LARGE)
        assert "101 bytes" in str(decode_header(refused.header)["reason"])

    def test_of_findings_as_many_are_told_as_fit(self) -> None:
        channel = FakeChannel(max_header=200)
        entries = [{"loc": [str(number)], "msg": "m" * 20, "type": "t"} for number in range(20)]
        delivery(channel).fail(Code.INVALID_MESSAGE, {"reason": "r", "entries": entries})
        delivery(channel).fail(Code.REMOTE_ERROR, {"type": "E", "reason": "r" * 1000})
        some, short = (decode_header(frame.header) for frame in channel.frames)
        assert all(frame.header_size <= 200 for frame in channel.frames)
        told = some["entries"]
        assert isinstance(told, tuple)
        assert 0 < len(told) < 20
        assert short["type"] == "E"
        assert 100 < len(str(short["reason"])) < 200


class NotingAnswers(UnbufferedOutbox):
    """It notes which answers were to be sent now."""

    def __init__(self, channel: FakeChannel) -> None:
        super().__init__(channel)
        self.now: list[bool] = []

    def answer(self, id: int, header: bytes, body: bytes, now: bool) -> None:
        self.now.append(now)
        super().answer(id, header, body, now)


class Answered(FakeChannel):
    """A channel with such an outbox."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = self.answers = NotingAnswers(self)


class TestBatches:
    def two(self, channel: FakeChannel) -> list[BrokerDelivery]:
        """Two that were delivered in one frame, in which they had the places 0 and 1."""
        frame = Frame.of(Kind.DELIVER, flags=Flag.NEEDS_REPLY | Flag.BATCH, id=5, topic=b"a.b", detail=9)
        frame.tail += numbered_header(7)
        frame.header_size = len(frame.tail) - frame.topic_size
        source, given = Source(frame, channel, 7.5), dict[int, BrokerDelivery]()
        return [BrokerDelivery(frame, source, place, b"body", given) for place in range(2)]

    def test_each_has_its_own_number_and_is_delivered_for_the_first_time(self) -> None:
        two = self.two(FakeChannel())
        assert [each.envelope.message_id for each in two] == [numbered_id(7), numbered_id(8)]
        assert {(each.topic, each.content_type, each.attempt, each.deadline) for each in two} == {
            ("a.b", "application/msgpack", 1, 7.5)
        }

    def test_answers_may_be_joined_and_the_last_one_waits_for_no_other(self) -> None:
        channel = Answered()
        first, second = self.two(channel)
        second.reply("application/json", b"2")
        first.reply("application/msgpack", b"1")
        first.reply("application/msgpack", b"again")
        assert channel.answers.now == [False, True]
        json = encode_header({"ct": "application/json"})
        assert channel.frames == [
            Frame.of(Kind.REPLY, id=6, header=json, body=b"2"), Frame.of(Kind.REPLY, id=5, body=b"1")
        ]  # fmt: skip

    def test_what_is_no_answer_is_said_by_itself(self) -> None:
        channel = Answered()
        first, second = self.two(channel)
        first.fail(Code.REMOTE_ERROR, {"type": "E"})
        second.hand_back()
        assert channel.answers.now == []
        assert [(frame.kind, frame.id) for frame in channel.frames] == [(Kind.REPLY, 5), (Kind.NACK, 6)]

    def test_an_answer_that_is_too_large_is_a_failure(self) -> None:
        channel = FakeChannel(max_frame=100)
        self.two(channel)[0].reply("application/msgpack", b"x" * 73)
        (refused,) = channel.frames
        assert (refused.kind, refused.detail) == (Kind.NACK, Code.PAYLOAD_TOO_LARGE)


@pytest.mark.anyio
class TestStreaming:
    def test_whether_a_stream_is_wanted(self) -> None:
        assert delivery(FakeChannel(), Flag.NEEDS_REPLY | Flag.STREAMED).wants_stream
        assert not delivery(FakeChannel()).wants_stream

    async def test_each_answer_waits_for_credit(self) -> None:
        channel = FakeChannel()
        work = delivery(channel, Flag.NEEDS_REPLY | Flag.STREAMED)

        async def answer() -> None:
            for body in (b"1", b"2", b"3"):
                await work.reply_more("application/json", body)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer)
            await anyio.wait_all_tasks_blocked()
            assert channel.frames == []
            work.pay(2, 1000)
            await anyio.wait_all_tasks_blocked()
            header = encode_header({"ct": "application/json"})
            assert channel.frames == [
                Frame.of(Kind.REPLY, flags=Flag.MORE, id=5, header=header, body=body) for body in (b"1", b"2")
            ]
            work.pay(1, 0)
            await anyio.wait_all_tasks_blocked()
            assert len(channel.frames) == 3

    async def test_the_last_answer_may_exceed_the_bytes(self) -> None:
        channel = FakeChannel()
        work = delivery(channel, Flag.NEEDS_REPLY | Flag.STREAMED)
        work.pay(5, 1)
        await work.reply_more("application/msgpack", bytes(100))
        with anyio.move_on_after(0.01) as scope:
            await work.reply_more("application/msgpack", b"")
        assert scope.cancelled_caught
        work.pay(0, 200)
        await work.reply_more("application/msgpack", b"")
        assert len(channel.frames) == 2

    async def test_an_answer_that_is_too_large_is_not_sent(self) -> None:
        channel = FakeChannel(max_frame=100)
        work = delivery(channel, Flag.NEEDS_REPLY | Flag.STREAMED)
        work.pay(5, 1000)
        with pytest.raises(PayloadTooLargeError, match="the broker takes 100"):
            await work.reply_more("application/msgpack", bytes(100))
        assert channel.frames == []

    async def test_nothing_follows_the_end(self) -> None:
        channel = FakeChannel()
        work = delivery(channel, Flag.NEEDS_REPLY | Flag.STREAMED)
        work.pay(5, 1000)
        work.done()
        await work.reply_more("application/msgpack", b"late")
        assert channel.frames == [Frame(Kind.REPLY, id=5)]


class TestLeaving:
    def test_whoever_works_on_it_is_told_once(self) -> None:
        given, told = delivery(FakeChannel()), list[bool]()
        given.on_cancel = lambda: told.append(given.cancelled)
        given.cancel()
        given.cancel()
        assert told == [True]

    def test_nobody_works_on_it_yet(self) -> None:
        given = delivery(FakeChannel())
        given.cancel()
        assert given.cancelled

    @pytest.mark.parametrize(("flags", "waits"), [(Flag.NEEDS_REPLY, True), (Flag.NEEDS_ACK, False)])
    def test_a_lost_connection_ends_what_somebody_waits_for(self, flags: int, waits: bool) -> None:
        given, told = delivery(FakeChannel(), flags), list[bool]()
        given.on_cancel = lambda: told.append(True)
        given.lose()
        assert (given.cancelled, bool(told)) == (waits, waits)
