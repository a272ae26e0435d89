"""Events that nobody settles: what they tell, and how their credit goes back."""

import pytest

from cqrsbus.errors import Code, ProtocolError
from cqrsbus.links.event_delivery import EventDeliveries, EventDelivery, EventSource
from cqrsbus.links.local_subscription import LocalSubscription
from cqrsbus.links.port import SubscriptionSpec
from cqrsbus.wire.envelope import Envelope, encode_envelope
from cqrsbus.wire.frames import Frame, Kind
from cqrsbus.wire.header import encode_header
from tests.links.channels import FakeChannel
from tests.wire.batches import batch, numbered_header, numbered_id

ENVELOPE = encode_envelope(Envelope("m-1"))
SPEC = SubscriptionSpec(kind="event", pattern="a.>")


@pytest.fixture
def channel() -> FakeChannel:
    return FakeChannel()


@pytest.fixture
def source(channel: FakeChannel) -> EventSource:
    return source_with(ENVELOPE, channel)


def source_with(header: bytes, channel: FakeChannel) -> EventSource:
    return EventSource(frame_with(header), channel, subscription(channel), 7.5)


def subscription(channel: FakeChannel) -> LocalSubscription:
    made = LocalSubscription(3, SPEC, lambda deliveries: None)
    made.request(1, channel)
    made.confirm(channel, Frame(Kind.CONFIRM, id=1, detail=2, ttl=1 << 20))
    return made


def frame_with(header: bytes) -> Frame:
    frame = Frame.of(Kind.DELIVER, channel=3, topic=b"a.b", header=header, body=b"body")
    frame.stamp = encode_header({"from": "shop"})
    return frame


def test_what_it_tells(source: EventSource) -> None:
    event = EventDelivery(source, 0, b"body")
    assert (event.topic, event.envelope, event.body) == ("a.b", Envelope("m-1"), b"body")
    assert (event.sender, event.attempt, event.deadline, event.cancelled) == ("shop", 1, 7.5, False)
    assert not event.wants_answer
    assert not event.wants_stream


@pytest.mark.parametrize(
    "envelope",
    [Envelope("m-1"), Envelope("m" * 100), Envelope("é"), Envelope("m", "c", "d", "application/json", {"a": "b"})],
)
def test_its_content_type_is_that_of_its_envelope(channel: FakeChannel, envelope: Envelope) -> None:
    event = EventDelivery(source_with(encode_envelope(envelope), channel), 0, b"")
    assert event.content_type == envelope.content_type
    assert event.envelope == envelope


@pytest.mark.parametrize("header", [b"", b"\xc1", b"\x81\xa2id\xa2a\xff", b"\x81\xa2id\xa3ab"])
def test_an_unintelligible_header_is_found_when_it_is_looked_at(channel: FakeChannel, header: bytes) -> None:
    event = EventDelivery(source_with(header, channel), 0, b"")
    with pytest.raises(ProtocolError):
        _ = event.content_type
    with pytest.raises(ProtocolError):
        _ = event.envelope


@pytest.mark.parametrize("settle", ["done", "hand_back", "fail", "reply"])
def test_it_is_counted_once_however_it_is_settled(source: EventSource, channel: FakeChannel, settle: str) -> None:
    event = EventDelivery(source, 0, b"body")
    match settle:
        case "fail":
            event.fail(Code.REMOTE_ERROR, {"reason": "r"})
        case "reply":
            event.reply("application/json", b"1")
        case _:
            getattr(event, settle)()
    event.done()
    event.hand_back()
    size = len(b"a.b" + ENVELOPE + b"body")
    assert channel.frames == [Frame(Kind.CREDIT, channel=3, detail=1, id=size)]


def test_it_keeps_what_it_said_no_longer_than_it_must(source: EventSource) -> None:
    event = EventDelivery(source, 0, b"body")
    event.done()
    assert event.body == b""
    assert event.envelope == Envelope("m-1")


def test_a_frame_of_its_own_is_one_event(channel: FakeChannel) -> None:
    (event,) = EventDeliveries(frame_with(ENVELOPE), channel, subscription(channel), None)
    assert (event.envelope, event.body, event.deadline) == (Envelope("m-1"), b"body", None)


def test_the_events_of_a_batch(channel: FakeChannel) -> None:
    frames = [
        Frame.of(Kind.DELIVER, topic=b"a.b", header=numbered_header(number), body=b"%d" % number)
        for number in (14, 15, 16)
    ]
    events = EventDeliveries(batch(*frames), channel, subscription(channel), 7.5)
    assert [(event.envelope.message_id, event.body) for event in events] == [
        (numbered_id(number), b"%d" % number) for number in (14, 15, 16)
    ]
    for event in events:
        event.done()
    size = sum(len(frame.tail) for frame in frames[:1])
    assert channel.frames == [Frame(Kind.CREDIT, channel=3, detail=1, id=size)] * 3


@pytest.mark.parametrize(
    "places", [slice(0, 2), slice(1, 3), slice(2, 2), slice(1, None), slice(0, 9), slice(None, None, -2)]
)
def test_some_events_of_a_batch(channel: FakeChannel, places: slice) -> None:
    bodies = [b"%d" % number for number in (14, 15, 16)]
    frame = batch(*(Frame.of(Kind.DELIVER, topic=b"a.b", header=numbered_header(14), body=body) for body in bodies))
    events = EventDeliveries(frame, channel, subscription(channel), None)
    assert len(events) == 3
    assert [event.body for event in events[places]] == bodies[places]
    assert [event.envelope.message_id for event in events[places]] == list(map(numbered_id, (14, 15, 16)))[places]


def test_a_batch_whose_ids_cannot_be_counted_up(channel: FakeChannel) -> None:
    frame = batch(*(Frame.of(Kind.DELIVER, topic=b"a.b", header=ENVELOPE) for _ in range(2)))
    first, second = EventDeliveries(frame, channel, subscription(channel), None)
    assert first.envelope == Envelope("m-1")
    with pytest.raises(ProtocolError):
        _ = second.envelope


@pytest.mark.anyio
async def test_it_has_no_answers(source: EventSource) -> None:
    with pytest.raises(RuntimeError, match="no answers"):
        await EventDelivery(source, 0, b"").reply_more("application/json", b"1")
