"""The receive buffer: any portions, the same frames; nothing read or kept beyond the limits."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrsbus.errors import Code, ProtocolError
from cqrsbus.wire.frames import HEAD, KNOWN_FLAGS, MIN_LENGTH, Frame, Kind
from cqrsbus.wire.reader import FrameReader
from tests.wire.strategies import frames, portions


def read_all(reader: FrameReader, parts: list[bytes]) -> list[Frame]:
    """Feed portion by portion, and take what is there after each."""
    found: list[Frame] = []
    for part in parts:
        reader.feed(part)
        while (frame := reader.next_frame()) is not None:
            found.append(frame)
    return found


@given(st.lists(frames(), max_size=5), st.data())
def test_any_portions_give_the_same_frames(sent: list[Frame], data: st.DataObject) -> None:
    reader = FrameReader(max_frame=1 << 20, max_header=1 << 16)
    parts = data.draw(portions(b"".join(frame.encode() for frame in sent)))
    assert read_all(reader, parts) == sent
    assert reader.at_boundary


@given(st.lists(frames(), max_size=5), st.data())
def test_frames_need_not_be_taken_between_portions(sent: list[Frame], data: st.DataObject) -> None:
    reader = FrameReader(max_frame=1 << 20, max_header=1 << 16)
    for part in data.draw(portions(b"".join(frame.encode() for frame in sent))):
        reader.feed(part)
        if data.draw(st.booleans()):
            frame = reader.next_frame()
            assert frame is None or frame == sent.pop(0)
    assert read_all(reader, [b""]) == sent


def test_one_byte_at_a_time() -> None:
    sent = [Frame.of(Kind.SEND, topic=b"a.b", header=b"h", body=bytes(50), id=number) for number in range(3)]
    wire = b"".join(frame.encode() for frame in sent)
    reader = FrameReader(max_frame=1000, max_header=10)
    assert read_all(reader, [wire[i : i + 1] for i in range(len(wire))]) == sent


def test_a_truncated_frame_is_no_boundary() -> None:
    wire = Frame.of(Kind.SEND, topic=b"a.b", body=b"x").encode()
    for size in range(1, len(wire)):
        reader = FrameReader(max_frame=1000, max_header=10)
        assert read_all(reader, [wire[:size]]) == []
        assert not reader.at_boundary
        assert read_all(reader, [wire[size:]]) != []
        assert reader.at_boundary


LIMIT = 1000


@pytest.mark.parametrize("after", [b"", b"\x20", bytes(100)], ids=["alone", "kind", "more"])
@pytest.mark.parametrize(
    ("length", "code"),
    [
        (0, Code.BAD_FRAME),
        (MIN_LENGTH - 1, Code.BAD_FRAME),
        (LIMIT - 3, Code.FRAME_TOO_LARGE),
        (2**31, Code.FRAME_TOO_LARGE),
        (2**32 - 1, Code.FRAME_TOO_LARGE),
    ],
)
def test_a_bad_length_is_refused_by_its_four_bytes(length: int, code: Code, after: bytes) -> None:
    reader = FrameReader(max_frame=LIMIT, max_header=LIMIT)
    reader.feed(length.to_bytes(4, "big") + after)
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError) as caught:
            reader.next_frame()
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()
    assert caught.value.code == code


def test_the_largest_and_the_smallest_frame_are_read() -> None:
    reader = FrameReader(max_frame=LIMIT, max_header=LIMIT)
    for size in (0, LIMIT - 28):
        frame = Frame(Kind.PUBLISH, tail=bytes(size))
        reader.feed(frame.encode())
        assert reader.next_frame() == frame


def test_a_second_bad_frame_is_met_after_the_first_good_one() -> None:
    reader = FrameReader(max_frame=LIMIT, max_header=LIMIT)
    reader.feed(Frame(Kind.PING).encode() + bytes(4))
    assert reader.next_frame() == Frame(Kind.PING)
    with pytest.raises(ProtocolError):
        reader.next_frame()


@pytest.mark.parametrize("sizes", [(255, 0, 0), (0, 255, 0), (0, 0, 65535), (1, 1, 9), (0, 0, 11)])
def test_parts_larger_than_the_frame_are_refused(sizes: tuple[int, int, int]) -> None:
    stamp, topic, header = sizes
    reader = FrameReader(max_frame=LIMIT, max_header=1 << 16)
    reader.feed(HEAD.pack(MIN_LENGTH + 10, Kind.DELIVER, 0, stamp, topic, header, 0, 0, 0, 0) + bytes(10))
    with pytest.raises(ProtocolError, match="shorter than its parts"):
        reader.next_frame()


def test_a_header_over_the_limit_is_refused() -> None:
    reader = FrameReader(max_frame=LIMIT, max_header=10)
    reader.feed(Frame.of(Kind.SEND, header=bytes(10)).encode() + Frame.of(Kind.SEND, header=bytes(11)).encode())
    assert reader.next_frame() is not None
    with pytest.raises(ProtocolError, match="header of 11 bytes"):
        reader.next_frame()


@pytest.mark.parametrize("kind", list(Kind))
def test_each_flag_is_known_or_refused(kind: Kind) -> None:
    for bit in range(8):
        reader = FrameReader(max_frame=LIMIT, max_header=10)
        frame = Frame(kind, flags=1 << bit)
        reader.feed(frame.encode())
        if KNOWN_FLAGS[kind] & 1 << bit:
            assert reader.next_frame() == frame
        else:
            with pytest.raises(ProtocolError, match="unknown flags"):
                reader.next_frame()


@given(st.binary(max_size=200) | st.binary(max_size=80).map(lambda data: b"\0\0\0" + data))
def test_arbitrary_bytes_give_frames_or_a_protocol_error(data: bytes) -> None:
    reader = FrameReader(max_frame=LIMIT, max_header=10)
    reader.feed(data)
    seen, code = 0, Code.BAD_FRAME
    try:
        while (frame := reader.next_frame()) is not None:
            seen += frame.size
            assert data[seen - frame.size : seen] == frame.encode()
    except ProtocolError as error:
        code = error.code
    assert code in (Code.BAD_FRAME, Code.FRAME_TOO_LARGE)
    assert seen <= len(data)


def outcome(data: list[bytes], *, at_once: bool) -> tuple[list[Frame], str, bool]:
    """What becomes of portions: the frames, the complaint, and whether all was used."""
    reader, found = FrameReader(max_frame=LIMIT, max_header=10), list[Frame]()
    try:
        for part in data:
            reader.feed(part)
            if at_once:
                reader.read_frames(found)
            while (frame := reader.next_frame()) is not None:
                found.append(frame)
    except ProtocolError as error:
        return found, str(error), False
    return found, "", reader.at_boundary


@given(
    st.lists(frames().map(Frame.encode) | st.binary(max_size=40) | st.binary(max_size=40).map(lambda d: b"\0\0\0" + d)),
    st.data(),
)
def test_many_at_once_are_the_same_as_one_by_one(sent: list[bytes], data: st.DataObject) -> None:
    parts = data.draw(portions(b"".join(sent)))
    assert outcome(parts, at_once=True) == outcome(parts, at_once=False)


def test_what_is_well_formed_is_read_at_once_and_the_rest_left() -> None:
    reader, found = FrameReader(max_frame=LIMIT, max_header=10), list[Frame]()
    good = [Frame(Kind.PING, id=number) for number in range(3)]
    reader.feed(b"".join(frame.encode() for frame in good) + Frame(Kind.PING, flags=1).encode())
    reader.read_frames(found)
    assert found == good
    with pytest.raises(ProtocolError, match="unknown flags"):
        reader.next_frame()
