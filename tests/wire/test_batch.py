"""Batches: the same as their events one after the other, and never taken for more than they are."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cqrsbus.errors import ProtocolError
from cqrsbus.wire.batch import (
    MAX_EVENTS,
    MAX_RECORD_HEADER,
    RECORD,
    BatchWriter,
    check_batch,
    cut,
    events_in,
    events_size,
    frames_size,
    leading,
    records,
    singles,
)
from cqrsbus.wire.envelope import Envelope, encode_envelope
from cqrsbus.wire.frames import Flag, Frame, Kind
from tests.wire.batches import batch as batch_of

TOPICS = st.sampled_from([b"a", b"a.b.c", b"t" * 255])
HEADERS = st.builds(
    lambda message_id, correlation_id, headers: encode_envelope(
        Envelope(message_id, correlation_id, headers=headers),
    ),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=40),
    st.sampled_from(["", "c-1"]),
    st.sampled_from([{}, {"tenant": "7"}]),
)
EVENTS = st.lists(st.tuples(HEADERS, st.binary(max_size=50)), min_size=1, max_size=8)
SHORT = encode_envelope(Envelope("m-1"))


def batch(topic: bytes, events: list[tuple[bytes, bytes]]) -> Frame:
    return batch_of(*own_frames(topic, events))


def own_frames(topic: bytes, events: list[tuple[bytes, bytes]]) -> list[Frame]:
    return [Frame.of(Kind.PUBLISH, topic=topic, header=header, body=body, ttl=7) for header, body in events]


@given(TOPICS, EVENTS)
def test_what_is_written_is_read(topic: bytes, events: list[tuple[bytes, bytes]]) -> None:
    writer = BatchWriter(topic)
    for event in events:
        writer.add(*event)
    assert writer.count == len(events)
    frame = writer.frame()
    if len(events) == 1:
        assert frame == Frame.of(Kind.PUBLISH, topic=topic, header=events[0][0], body=events[0][1])
    else:
        check_batch(frame)
        assert (frame.topic, frame.detail) == (topic.decode(), len(events))
        assert writer.size == len(frame.tail) - len(topic)
        assert list(records(frame)) == events


@given(TOPICS, EVENTS)
def test_it_is_the_same_as_its_events_each_in_a_frame_of_its_own(
    topic: bytes, events: list[tuple[bytes, bytes]]
) -> None:
    whole, single = batch(topic, events), own_frames(topic, events)
    check_batch(whole)
    assert list(singles(whole)) == single
    assert events_in(whole) == sum(map(events_in, single)) == len(events)
    assert events_size(whole) == sum(map(events_size, single)) == sum(len(frame.tail) for frame in single)
    assert frames_size(whole) == sum(map(frames_size, single)) == sum(frame.size for frame in single)


@given(TOPICS, EVENTS.filter(lambda events: len(events) > 1), st.data())
def test_it_can_be_cut_between_any_two_events(
    topic: bytes, events: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    where = data.draw(st.integers(1, len(events) - 1))
    first, rest = cut(batch(topic, events), where)
    assert (first, rest) == (batch(topic, events[:where]), batch(topic, events[where:]))


@given(TOPICS, EVENTS, st.integers(1, 9), st.integers(1, 300))
def test_as_much_is_given_as_there_is_credit_for(
    topic: bytes, events: list[tuple[bytes, bytes]], most: int, size: int
) -> None:
    given_away, left = 0, size
    for frame in own_frames(topic, events):
        if given_away < most and left > 0:
            given_away, left = given_away + 1, left - len(frame.tail)
    assert leading(batch(topic, events), most, size) == given_away


@given(st.binary(max_size=80), st.integers(0, 4))
@example(b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 1)
@example(RECORD.pack(2 + len(SHORT), len(SHORT)) + SHORT + b"\x00", 1)
@example(RECORD.pack(3 + len(SHORT), len(SHORT)) + SHORT, 1)
@example(RECORD.pack(2 + len(SHORT), len(SHORT)) + SHORT, 2)
@example(b"", 0)
def test_any_bytes_are_a_batch_or_refused(written: bytes, count: int) -> None:
    frame = Frame.of(Kind.PUBLISH, topic=b"a.b", body=written, flags=Flag.BATCH, detail=count)
    try:
        check_batch(frame)
    except ProtocolError:
        refused = True
    else:
        refused = False
    try:
        found = list(records(frame))
    except ProtocolError:
        assert refused, "whoever does not check stumbles over what was said to be right"
    else:
        assert sum(RECORD.size + len(header) + len(body) for header, body in found) == len(written)
        assert refused or len(found) == count > 0


@pytest.mark.parametrize(
    "header", [b"\x81\xa2id\xa2a\xff", b"\x81\xa2id\xa3ab", b"\x81\xa1x\xa1a", encode_envelope(Envelope("m")) + b"\x00"]
)
def test_a_header_that_is_no_envelope(header: bytes) -> None:
    with pytest.raises(ProtocolError):
        check_batch(batch(b"a", [(SHORT, b""), (header, b"body")]))


def test_a_header_that_is_too_long() -> None:
    fits = encode_envelope(Envelope("m", headers={"k": "v" * (MAX_RECORD_HEADER - 16)}))
    assert len(fits) == MAX_RECORD_HEADER
    check_batch(batch(b"a", [(fits, b"")]))
    with pytest.raises(ProtocolError, match="too long"):
        check_batch(batch(b"a", [(encode_envelope(Envelope("mm", headers={"k": "v" * 1008})), b"")]))


def test_the_receiver_may_allow_less() -> None:
    check_batch(batch(b"a", [(SHORT, b"")]), len(SHORT))
    with pytest.raises(ProtocolError, match="too long"):
        check_batch(batch(b"a", [(SHORT, b"")]), len(SHORT) - 1)


def test_a_batch_of_too_many_events() -> None:
    check_batch(batch(b"a", [(SHORT, b"")] * MAX_EVENTS))
    with pytest.raises(ProtocolError, match="over the limit"):
        check_batch(batch(b"a", [(SHORT, b"")] * (MAX_EVENTS + 1)))


def test_the_usual_header_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cqrsbus.wire.batch.check_envelope", pytest.fail)
    check_batch(batch(b"a", [(SHORT, b"x"), (encode_envelope(Envelope("0123456789abcdef-1234567")), b"\xff")]))


def test_a_batch_has_no_header_of_its_own() -> None:
    with pytest.raises(ProtocolError, match="no header"):
        check_batch(Frame.of(Kind.PUBLISH, topic=b"a", header=SHORT, flags=Flag.BATCH))
