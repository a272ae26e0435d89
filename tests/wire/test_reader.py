"""The receive buffer: any portions, the same frames; nothing read or kept beyond the limits."""

import tracemalloc
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrsbus.errors import Code, ProtocolError
from cqrsbus.wire.frames import HEAD, KNOWN_FLAGS, MIN_LENGTH, Flag, Frame, Kind
from cqrsbus.wire.reader import LARGE_PORTION, LONGEST_READ, SMALL_PORTION, UNJOINED_FROM, FrameReader
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


SIZES = st.integers(0, 2 * SMALL_PORTION) | st.integers(LARGE_PORTION - 100, 6 * LARGE_PORTION)


NOISE = Random(1).randbytes(7 * LARGE_PORTION)


@given(st.lists(SIZES, max_size=4), st.data())
def test_large_frames_are_put_together_from_any_portions(sizes: list[int], data: st.DataObject) -> None:
    sent = [
        Frame(Kind.DELIVER, id=id, stamp=b"by" * (id % 2), tail=NOISE[id : id + size], topic_size=min(3, size))
        for id, size in enumerate(sizes)
    ]
    parts = data.draw(portions(b"".join(frame.encode() for frame in sent)))
    reader, found = FrameReader(max_frame=1 << 20, max_header=10), list[Frame]()
    for part in parts:
        reader.feed(part)
        reader.read_frames(found)
        while (frame := reader.next_frame()) is not None:
            found.append(frame)
    assert found == sent
    assert all(type(frame.tail) is bytes for frame in found)
    assert reader.at_boundary


@pytest.mark.parametrize("flags", [0, Flag.BATCH], ids=["message", "batch"])
@pytest.mark.parametrize("size", [UNJOINED_FROM - 100, UNJOINED_FROM])
@pytest.mark.parametrize("first", [29, 31, 100])
def test_a_large_message_is_not_put_together_for_who_passes_it_on(first: int, size: int, flags: int) -> None:
    sent = Frame(Kind.PUBLISH, flags=flags, tail=NOISE[:size], topic_size=2, header_size=1)
    wire, reader = sent.encode() + bytes(2), FrameReader(max_frame=1 << 20, max_header=10)
    (found,) = read_all(reader, [wire[:first], wire[first:LARGE_PORTION], wire[LARGE_PORTION:]])
    # What begins it must have all of the topic and the header.
    assert (found.portions is not None) == (size == UNJOINED_FROM and first >= 31 and not flags)
    assert (found.topic_bytes, found.header, found.size) == (NOISE[:2], NOISE[2:3], sent.size)
    assert found.head() == sent.head()
    assert found.body == sent.body
    passed_on = Frame(Kind.DELIVER, id=3).carry(found)
    assert passed_on == Frame(Kind.DELIVER, id=3, tail=NOISE[:size], topic_size=2, header_size=1)
    assert found == sent
    assert found.portions is passed_on.portions is None


@pytest.mark.parametrize("ending", [100, 3 * LARGE_PORTION])
def test_who_keeps_a_large_message_keeps_not_much_more(ending: int) -> None:
    sent = Frame(Kind.PUBLISH, tail=bytes(UNJOINED_FROM + ending))
    wire, begin = sent.encode() + Frame(Kind.PUBLISH, tail=bytes(3 * LARGE_PORTION)).encode(), sent.size - ending
    tracemalloc.start()
    try:
        parts = [wire[start : min(start + LARGE_PORTION, begin)] for start in range(0, begin, LARGE_PORTION)]
        (found, _) = read_all(FrameReader(max_frame=1 << 20, max_header=10), [*parts, wire[begin:]])
        del parts, _
        assert found.portions is not None
        assert tracemalloc.get_traced_memory()[0] < 1.3 * found.size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("first", range(1, 40))
def test_a_large_frame_is_the_same_wherever_its_head_is_split(first: int) -> None:
    frame = Frame(Kind.DELIVER, stamp=b"stamp", tail=NOISE, topic_size=2)
    wire = frame.encode() + Frame(Kind.PING).encode()
    middle = [wire[start : start + LARGE_PORTION] for start in range(first, len(wire), LARGE_PORTION)]
    reader = FrameReader(max_frame=1 << 20, max_header=10)
    assert read_all(reader, [wire[:first], *middle]) == [frame, Frame(Kind.PING)]


def test_a_large_frame_that_breaks_the_rules_is_refused_when_it_is_there() -> None:
    bad = Frame(Kind.PING, flags=1, tail=bytes(2 * LARGE_PORTION)).encode()
    reader, found = FrameReader(max_frame=1 << 20, max_header=10), list[Frame]()
    assert read_all(reader, [bad[:100], bad[100:-1]]) == []
    reader.feed(bad[-1:])
    reader.read_frames(found)
    assert found == []
    for _ in range(2):
        with pytest.raises(ProtocolError, match="unknown flags"):
            reader.next_frame()


def test_what_is_received_whole_is_not_copied() -> None:
    reader, received = FrameReader(max_frame=LIMIT, max_header=10), Frame(Kind.PING).encode() * 3
    reader.feed(received)
    reader.read_frames(found := list[Frame]())
    assert found == [Frame(Kind.PING)] * 3
    assert reader._buffer is received


class TestWanted:
    """How much is asked for at once."""

    @pytest.mark.parametrize("before", [b"", Frame(Kind.PING).encode(), bytes([0, 0])])
    def test_it_is_little_while_no_large_frame_comes(self, before: bytes) -> None:
        reader = FrameReader(max_frame=1 << 24, max_header=10)
        read_all(reader, [before])
        assert 0 < reader.wanted <= 4

    def test_of_a_large_frame_it_is_a_longest_read_to_its_end(self) -> None:
        wire = Frame(Kind.PUBLISH, tail=bytes(3 * LONGEST_READ)).encode()
        for there in (50, LONGEST_READ, len(wire) - 1):
            reader = FrameReader(max_frame=1 << 24, max_header=10)
            assert read_all(reader, [wire[:there]]) == []
            assert reader.wanted == LONGEST_READ
            assert read_all(reader, [wire[there:]]) != []
            assert reader.wanted <= 4

    @pytest.mark.parametrize(("more", "wanted"), [(1, 1), (SMALL_PORTION, SMALL_PORTION), (SMALL_PORTION + 1, 0)])
    def test_a_little_more_than_a_longest_read_takes_one_read(self, more: int, wanted: int) -> None:
        wire = Frame(Kind.PUBLISH, tail=bytes(3 * LONGEST_READ)).encode()
        reader = FrameReader(max_frame=1 << 24, max_header=10)
        assert read_all(reader, [wire[: len(wire) - LONGEST_READ - more]]) == []
        assert reader.wanted == LONGEST_READ + wanted

    def test_of_a_smaller_frame_it_is_its_rest_and_a_few_like_it(self) -> None:
        reader, wire = FrameReader(max_frame=1 << 24, max_header=10), Frame(Kind.PUBLISH, tail=bytes(40_000)).encode()
        assert read_all(reader, [wire[:30]]) == []
        assert 4 * len(wire) < reader.wanted < 5 * len(wire)

    def test_a_length_that_is_not_allowed_is_not_asked_for(self) -> None:
        reader = FrameReader(max_frame=LIMIT, max_header=10)
        reader.feed((1 << 23).to_bytes(4, "big"))
        with pytest.raises(ProtocolError):
            reader.next_frame()
        assert reader.wanted <= 4


def kept(reader: FrameReader, data: bytes, size: int) -> int:
    """How many bytes a reader keeps of data that comes in portions of a size, while what they are cut from is gone."""
    tracemalloc.start()
    try:
        for start in range(0, len(data), size):
            reader.feed(data[start : start + size])
            assert reader.next_frame() is None
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [1, 7, 1460, SMALL_PORTION, LARGE_PORTION])
def test_what_is_kept_of_a_frame_is_about_what_has_arrived(size: int) -> None:
    arrived = Frame(Kind.PUBLISH, tail=bytes(1 << 24)).encode()[: 8 * LARGE_PORTION]
    if size < 100:
        arrived = arrived[:LARGE_PORTION]
    assert kept(FrameReader(max_frame=1 << 25, max_header=10), arrived, size) < 1.3 * len(arrived) + 10_000


@pytest.mark.parametrize("rest", [b"", b"\0", Frame(Kind.PING).encode()[:20]], ids=["none", "a byte", "most of a head"])
def test_a_large_portion_is_not_kept_for_the_few_bytes_at_its_end(rest: bytes) -> None:
    reader, frame = FrameReader(max_frame=1 << 24, max_header=10), Frame(Kind.PUBLISH, tail=bytes(1000))
    tracemalloc.start()
    try:
        assert len(read_all(reader, [frame.encode() * 1000 + rest])) == 1000
        assert tracemalloc.get_traced_memory()[0] < 10_000
    finally:
        tracemalloc.stop()
    assert reader.at_boundary is not bool(rest)


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
