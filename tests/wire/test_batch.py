"""Batches: the same as their events one after the other, and never taken for more than they are."""

from contextlib import nullcontext
from itertools import count, repeat
from struct import pack

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cqrsbus.errors import ProtocolError
from cqrsbus.wire.batch import (
    MAX_BATCH_HEADER,
    MAX_IN_BATCH,
    BatchWriter,
    answers,
    bodies,
    check_batch,
    check_bodies,
    cut,
    frames_size,
    leading,
    messages_in,
    messages_size,
    singles,
)
from cqrsbus.wire.envelope import Envelope, encode_envelope
from cqrsbus.wire.frames import MAX_U64, Flag, Frame, Kind
from cqrsbus.wire.origin import NUMBERS, Origin
from tests.wire.batches import batch, numbered_header

TOPICS = st.sampled_from(["a", "a.b.c", "t" * 255])
ORIGINS = st.builds(
    lambda begins, correlation_id, headers: Origin(Envelope(begins, correlation_id, headers=headers)),
    st.text("0123456789abcdefXYZ-", max_size=40),
    st.sampled_from(["", "c-1"]),
    st.sampled_from([{}, {"tenant": "7"}]),
)
FIRST = st.sampled_from([0, 1, 9, 15, 4095]) | st.integers(0, NUMBERS - 9)
BODIES = st.lists(st.binary(max_size=50), min_size=1, max_size=8)


def own_frames(topic: str, origin: Origin, first: int, said: list[bytes], kind: int = Kind.PUBLISH) -> list[Frame]:
    ids = count(5) if kind != Kind.PUBLISH else repeat(9)
    return [
        Frame.of(kind, topic=topic.encode(), header=origin.header(number), body=body, ttl=7, id=next(ids))
        for number, body in enumerate(said, first)
    ]


@given(TOPICS, ORIGINS, FIRST, BODIES)
def test_what_is_written_is_read(topic: str, origin: Origin, first: int, said: list[bytes]) -> None:
    writer = BatchWriter(Frame.of(Kind.ASK, topic=topic.encode(), header=origin.header(first), id=5))
    for body in said:
        writer.add(body)
    assert (writer.count, writer.next_id) == (len(said), 5 + len(said))
    frame = writer.end()
    assert (frame.topic, frame.header) == (topic, origin.header(first))
    if len(said) == 1:
        assert (frame.flags, frame.detail, frame.body) == (0, 0, said[0])
    else:
        check_batch(frame)
        assert frame.detail == len(said)
        assert writer.size == len(frame.body)
        assert bodies(frame) == said


@given(TOPICS, ORIGINS, FIRST, BODIES, st.sampled_from([Kind.PUBLISH, Kind.ASK, Kind.DELIVER]))
def test_it_is_the_same_as_its_messages_each_in_a_frame_of_its_own(
    topic: str, origin: Origin, first: int, said: list[bytes], kind: Kind
) -> None:
    single = own_frames(topic, origin, first, said, kind)
    whole = batch(*single)
    check_batch(whole)
    assert list(singles(whole)) == single
    assert messages_in(whole) == sum(map(messages_in, single)) == len(said)
    assert messages_size(whole) == sum(map(messages_size, single)) == sum(len(frame.tail) for frame in single)
    assert frames_size(whole) == sum(map(frames_size, single)) == sum(frame.size for frame in single)


@given(TOPICS, ORIGINS, FIRST, BODIES.filter(lambda said: len(said) > 1), st.data())
def test_it_can_be_cut_between_any_two_events(
    topic: str, origin: Origin, first: int, said: list[bytes], data: st.DataObject
) -> None:
    where, single = data.draw(st.integers(1, len(said) - 1)), own_frames(topic, origin, first, said)
    assert cut(batch(*single), where) == (batch(*single[:where]), batch(*single[where:]))


@given(TOPICS, ORIGINS, FIRST, BODIES, st.integers(1, 9), st.integers(1, 300))
def test_as_much_is_given_as_there_is_credit_for(
    topic: str, origin: Origin, first: int, said: list[bytes], most: int, size: int
) -> None:
    given_away, left, single = 0, size, own_frames(topic, origin, first, said)
    for frame in single:
        if given_away < most and left > 0:
            given_away, left = given_away + 1, left - len(frame.tail)
    assert leading(batch(*single), most, size) == given_away


@given(st.sampled_from([b"", b"header"]), BODIES)
def test_answers_have_one_header_and_are_numbered(header: bytes, said: list[bytes]) -> None:
    single = [Frame.of(Kind.REPLY, id=id, header=header, body=body) for id, body in enumerate(said, 7)]
    whole = batch(*single)
    whole.stamp = b"stamp"
    for each in single:
        each.stamp = b"stamp"
    check_bodies(whole)
    assert answers(whole) == single
    whole.detail += 1
    for look in (check_bodies, answers):
        with pytest.raises(ProtocolError):
            look(whole)


@pytest.mark.parametrize(("kind", "fits"), [(Kind.PUBLISH, True), (Kind.ASK, False), (Kind.REPLY, False)])
def test_numbers_are_not_counted_beyond_what_a_head_can_say(kind: Kind, fits: bool) -> None:
    whole = batch(*(Frame.of(kind, topic=b"a", header=numbered_header(1), body=b"body") for _ in range(2)))
    whole.id = MAX_U64 - 1
    check_bodies(whole)
    whole.id = MAX_U64
    with nullcontext() if fits else pytest.raises(ProtocolError, match="what a head can say"):
        check_bodies(whole)


@given(st.binary(max_size=80), st.integers(0, 4))
@example(pack("!I", 1) + b"x", 1)
@example(pack("!I", 1) + b"xx", 1)
@example(pack("!I", 2) + b"x", 1)
@example(pack("!II", 0, 2**32 - 1), 2)
@example(b"\x00\x00\x00", 1)
@example(b"", 0)
def test_any_bytes_are_a_batch_or_refused(written: bytes, count: int) -> None:
    frame = Frame.of(
        Kind.PUBLISH, topic=b"a.b", header=numbered_header(1), body=written, flags=Flag.BATCH, detail=count
    )
    try:
        check_batch(frame)
    except ProtocolError:
        refused = True
    else:
        refused = False
    try:
        found = bodies(frame)
    except ProtocolError:
        assert refused, "whoever does not check stumbles over what was said to be right"
    else:
        assert sum(4 + len(body) for body in found) == len(written)
        assert refused or len(found) == count > 0


@pytest.mark.parametrize("size", [0, 1, 2**8 + 1, 2**16 + 2, 2**24 + 3])
def test_every_byte_of_a_length_counts(size: int) -> None:
    said = [b"\x01" * size, b"one more"]
    frame = batch(*own_frames("a", Origin(Envelope("m-")), 0, said))
    check_batch(frame)
    assert bodies(frame) == said
    frame.tail += b"\x00"
    with pytest.raises(ProtocolError, match="says that 2 are in it"):
        check_batch(frame)


def with_header(header: bytes, events: int = 2) -> Frame:
    return batch(*(Frame.of(Kind.PUBLISH, topic=b"a", header=header, body=b"body") for _ in range(events)))


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\x81\xa2id\xa2a\xff",
        b"\x81\xa1x\xa1a",
        numbered_header(1) + b"\x00",
        encode_envelope(Envelope("m-1")),
        encode_envelope(Envelope("0" * 11)),
        encode_envelope(Envelope("m00000000000A")),
        encode_envelope(Envelope("m00000000000g")),
        encode_envelope(Envelope("m0000 0000001")),
        encode_envelope(Envelope("m00000_000001")),
        encode_envelope(Envelope("m0000000000٣1")),
    ],
)
def test_a_header_that_is_no_envelope_of_numbered_messages(header: bytes) -> None:
    with pytest.raises(ProtocolError):
        check_batch(with_header(header))


def test_ids_are_not_counted_beyond_their_digits() -> None:
    check_batch(with_header(numbered_header(NUMBERS - 2)))
    with pytest.raises(ProtocolError, match="counted beyond"):
        check_batch(with_header(numbered_header(NUMBERS - 1)))


def test_a_header_that_is_too_long() -> None:
    spare = MAX_BATCH_HEADER - len(numbered_header(1, headers={"k": "v" * 300})) + 300
    fits = numbered_header(1, headers={"k": "v" * spare})
    assert len(fits) == MAX_BATCH_HEADER
    check_batch(with_header(fits))
    with pytest.raises(ProtocolError, match="over the limit"):
        check_batch(with_header(numbered_header(1, headers={"k": "v" * (spare + 1)})))


def test_the_receiver_may_allow_less() -> None:
    header = numbered_header(1)
    check_batch(with_header(header), len(header))
    with pytest.raises(ProtocolError, match="over the limit"):
        check_batch(with_header(header), len(header) - 1)


def test_a_batch_of_too_many_events() -> None:
    check_batch(with_header(numbered_header(1), MAX_IN_BATCH))
    with pytest.raises(ProtocolError, match="and not of 1 to"):
        check_batch(with_header(numbered_header(1), MAX_IN_BATCH + 1))
