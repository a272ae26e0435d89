"""Events that nobody settles: what they tell, and how their credit goes back."""

import pytest

from cqrsbus.errors import Code, ProtocolError
from cqrsbus.links.event_delivery import EventDelivery, EventSource
from cqrsbus.links.local_subscription import LocalSubscription
from cqrsbus.links.port import SubscriptionSpec
from cqrsbus.wire.envelope import Envelope, encode_envelope
from cqrsbus.wire.frames import Frame, Kind
from cqrsbus.wire.header import encode_header
from tests.links.channels import FakeChannel

ENVELOPE = encode_envelope(Envelope("m-1"))
SPEC = SubscriptionSpec(kind="event", pattern="a.>")


@pytest.fixture
def channel() -> FakeChannel:
    return FakeChannel()


@pytest.fixture
def source(channel: FakeChannel) -> EventSource:
    subscription = LocalSubscription(3, SPEC, lambda delivery: None)
    subscription.request(1, channel)
    subscription.confirm(channel, Frame(Kind.CONFIRM, id=1, detail=2, ttl=1 << 20))
    frame = Frame.of(Kind.DELIVER, channel=3, topic=b"a.b")
    frame.stamp = encode_header({"from": "shop"})
    return EventSource(frame, channel, subscription, 7.5)


def test_what_it_tells(source: EventSource) -> None:
    event = EventDelivery(source, ENVELOPE, b"body")
    assert (event.topic, event.envelope, event.body) == ("a.b", Envelope("m-1"), b"body")
    assert (event.sender, event.attempt, event.deadline, event.cancelled) == ("shop", 1, 7.5, False)
    assert not event.wants_answer
    assert not event.wants_stream


@pytest.mark.parametrize(
    "envelope",
    [Envelope("m-1"), Envelope("m" * 100), Envelope("é"), Envelope("m", "c", "d", "application/json", {"a": "b"})],
)
def test_its_content_type_is_that_of_its_envelope(source: EventSource, envelope: Envelope) -> None:
    event = EventDelivery(source, encode_envelope(envelope), b"")
    assert event.content_type == envelope.content_type
    assert event.envelope == envelope


@pytest.mark.parametrize("header", [b"", b"\xc1", b"\x81\xa2id\xa2a\xff", b"\x81\xa2id\xa3ab"])
def test_an_unintelligible_header_is_found_when_it_is_looked_at(source: EventSource, header: bytes) -> None:
    event = EventDelivery(source, header, b"")
    with pytest.raises(ProtocolError):
        _ = event.content_type
    with pytest.raises(ProtocolError):
        _ = event.envelope


@pytest.mark.parametrize("settle", ["done", "hand_back", "fail", "reply"])
def test_it_is_counted_once_however_it_is_settled(source: EventSource, channel: FakeChannel, settle: str) -> None:
    event = EventDelivery(source, ENVELOPE, b"body")
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
    event = EventDelivery(source, ENVELOPE, b"body")
    event.done()
    assert event.body == b""
    assert event.envelope == Envelope("m-1")


@pytest.mark.anyio
async def test_it_has_no_answers(source: EventSource) -> None:
    with pytest.raises(RuntimeError, match="no answers"):
        await EventDelivery(source, ENVELOPE, b"").reply_more("application/json", b"1")
