"""The frame: its layout, byte by byte, and back."""

from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrsbus.wire import frames as frames_module
from cqrsbus.wire.frames import HEAD_SIZE, KNOWN_FLAGS, RESERVED_FLAGS, Flag, Frame, Kind
from cqrsbus.wire.reader import FrameReader
from tests.wire.strategies import frames


def test_the_head_is_laid_out_as_specified() -> None:
    frame = Frame(
        0x28,
        flags=0x05,
        detail=0x0102,
        channel=0x03040506,
        id=0x0708090A0B0C0D0E,
        ttl=0x0F101112,
        stamp=b"\xaa\xbb",
        tail=b"THHHbody",
        topic_size=1,
        header_size=3,
    )
    assert frame.encode().hex(" ", -4) == (
        "00000022 28050201 00030102 03040506 0708090a 0b0c0d0e 0f101112 aabb5448 4848626f 6479"
    )
    assert (frame.topic, frame.header, frame.body) == ("T", b"HHH", b"body")
    assert (HEAD_SIZE, frame.size) == (28, 38)


@given(frames(), st.data())
def test_a_tail_in_portions_is_the_same(frame: Frame, data: st.DataObject) -> None:
    first = data.draw(st.integers(frame.topic_size + frame.header_size, len(frame.tail)))
    second = data.draw(st.integers(first, len(frame.tail)))
    came = Frame(
        frame.kind, frame.flags, frame.detail, frame.channel, frame.id, frame.ttl, frame.stamp,
        topic_size=frame.topic_size, header_size=frame.header_size,
    )  # fmt: skip
    came.come_in(frame.tail[:first], [bytearray(frame.tail[first:second]), memoryview(frame.tail)[second:]])
    assert (came.topic, came.header, came.body) == (frame.topic, frame.header, frame.body)
    assert (came.size, came.tail_size, came.head()) == (frame.size, frame.tail_size, frame.head())
    assert came.portions is not None
    assert came.encode() == frame.encode()
    assert came == frame
    came.tail += b"more"
    assert came.tail == frame.tail + b"more"


@given(frames())
def test_what_is_encoded_is_read_back(frame: Frame) -> None:
    reader = FrameReader(max_frame=1 << 20, max_header=1 << 16)
    data = frame.encode()
    assert len(data) == frame.size
    assert data == frame.head() + frame.tail
    reader.feed(data)
    assert reader.next_frame() == frame
    assert reader.next_frame() is None
    assert reader.at_boundary


@given(frames())
def test_joining_the_parts_gives_the_same_frame(frame: Frame) -> None:
    joined = Frame.of(
        frame.kind,
        topic=frame.topic.encode("latin-1"),
        header=frame.header,
        body=frame.body,
        flags=frame.flags,
        detail=frame.detail,
        channel=frame.channel,
        id=frame.id,
        ttl=frame.ttl,
    )
    joined.stamp = frame.stamp
    assert joined == frame


@pytest.mark.parametrize("name", [name for name in frames_module._FIELDS if name != "kind"])
def test_frames_that_differ_anywhere_are_not_equal(name: str) -> None:
    changed = Frame(Kind.SEND)
    setattr(changed, name, b"x" if name in ("stamp", "tail") else 1)
    assert changed != Frame(Kind.SEND)
    assert changed != changed.encode()


def test_the_numbers_of_kinds_are_fixed() -> None:
    assert {kind.name: kind.value for kind in Kind} == {
        "HELLO": 0x01,
        "WELCOME": 0x02,
        "ERROR": 0x03,
        "PING": 0x04,
        "PONG": 0x05,
        "DRAIN": 0x06,
        "SUBSCRIBE": 0x10,
        "UNSUBSCRIBE": 0x11,
        "DESCRIBE": 0x12,
        "SEND": 0x20,
        "ASK": 0x21,
        "PUBLISH": 0x22,
        "DELIVER": 0x28,
        "REPLY": 0x30,
        "CANCEL": 0x31,
        "CONFIRM": 0x32,
        "REJECT": 0x33,
        "ACK": 0x38,
        "NACK": 0x39,
        "CREDIT": 0x3A,
    }


def test_every_kind_says_which_flags_it_knows() -> None:
    assert set(KNOWN_FLAGS) == set(Kind)
    assert all(flags & KNOWN_FLAGS[kind] == flags for kind, flags in RESERVED_FLAGS.items())
    assert all(not isinstance(value, IntEnum) for value in vars(Flag).values())


@given(st.binary(min_size=1, max_size=30))
def test_a_topic_of_any_bytes_can_be_looked_at(topic: bytes) -> None:
    frame = Frame.of(Kind.DELIVER, topic=topic)
    assert frame.topic.encode("latin-1") == topic
    assert repr(topic)[1:-1] in repr(frame)


def test_what_may_be_secret_is_not_shown() -> None:
    frame = Frame.of(0x7F, topic=b"a.b", header=b"hidden-header", body=b"hidden-body", id=5)
    assert repr(frame) == "<kind 0x7f id=5 topic=b'a.b' 55 bytes>"
    assert repr(Frame(Kind.PING)) == "<PING 28 bytes>"


def test_a_frame_is_no_key() -> None:
    with pytest.raises(TypeError):
        hash(Frame(Kind.PING))
    assert frames_module.MIN_LENGTH == HEAD_SIZE - 4
