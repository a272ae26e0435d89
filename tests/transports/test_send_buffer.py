"""The send buffer: however much of each write is taken, all comes out once, whole, and in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrsbus.transports.port import MOST_BUFFERS
from cqrsbus.transports.send_buffer import LONGEST_WRITE, UNJOINED_FROM, WRITE_SIZE, SendBuffer
from cqrsbus.wire.batch import events_in, singles
from cqrsbus.wire.envelope import Envelope
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.origin import Origin
from cqrsbus.wire.reader import FrameReader

ORIGIN = Origin(Envelope("m"))
SIZES = st.sampled_from([0, 1, 1024, 1025, 2049, UNJOINED_FROM - 1, UNJOINED_FROM, WRITE_SIZE, 3 * WRITE_SIZE])


def framed(number: int, size: int, topic: bytes = b"t") -> Frame:
    return Frame.of(Kind.PUBLISH, topic=topic, header=ORIGIN.header(number), body=b"x" * size)


def frames_in(content: bytes) -> list[Frame]:
    reader, found = FrameReader(max_frame=1 << 24, max_header=1 << 16), list[Frame]()
    reader.feed(content)
    reader.read_frames(found)
    assert reader.at_boundary
    return found


def drained(buffer: SendBuffer, take_less: st.DataObject | None = None) -> bytes:
    """All that comes out, where of a write only so much may be taken as is drawn."""
    buffer.end_batch()
    content = b""
    while buffer.chunks:
        write = buffer.take()
        assert len(write) <= MOST_BUFFERS
        whole = b"".join(write)
        assert 0 < len(whole) <= LONGEST_WRITE
        taken = len(whole) if take_less is None else take_less.draw(st.integers(1, len(whole)))
        buffer.sent(taken)
        if taken < len(whole):
            buffer.put_back(write, len(whole) - taken)
        content += whole[:taken]
    assert buffer.size == 0
    return content


@given(st.lists(st.tuples(st.booleans(), SIZES, st.sampled_from(["t", "u"])), max_size=12), st.data())
def test_all_comes_out_once_whole_and_in_order(puts: list[tuple[bool, int, str]], data: st.DataObject) -> None:
    buffer, expected = SendBuffer(), list[Frame]()
    for number, (is_event, size, topic) in enumerate(puts):
        expected.append(framed(number, size, topic.encode()))
        if is_event:
            buffer.put_event(topic, ORIGIN, number, b"x" * size)
        else:
            buffer.put(expected[-1])
    found = frames_in(drained(buffer, data))
    assert [each for frame in found for each in (singles(frame) if frame.flags & Flag.BATCH else [frame])] == expected


def test_the_first_of_what_leaves_together_is_told() -> None:
    buffer = SendBuffer()
    told = [buffer.put_event("t", ORIGIN, number, b"x") for number in range(3)]
    told.append(buffer.put_event("u", ORIGIN, 3, b"x"))
    told.append(buffer.put_event("u", ORIGIN, 4, b"x" * 5000))
    assert told == [True, False, False, True, True]
    assert [events_in(frame) for frame in frames_in(drained(buffer))] == [3, 1, 1]


@pytest.mark.parametrize("size", [100, 3 * UNJOINED_FROM])
def test_what_is_taken_counts_until_it_is_sent(size: int) -> None:
    buffer = SendBuffer()
    buffer.put(framed(1, size))
    before = buffer.size
    write = buffer.take()
    assert buffer.size == before == sum(map(len, write))
    buffer.sent(7)
    assert buffer.size == before - 7


def test_bytes_that_are_no_frame_keep_their_place() -> None:
    buffer = SendBuffer()
    buffer.put_event("t", ORIGIN, 1, b"e")
    buffer.put_bytes(b"else")
    buffer.put(framed(2, 1))
    assert drained(buffer) == framed(1, 1).encode().replace(b"x", b"e") + b"else" + framed(2, 1).encode()


def test_what_is_forgotten_is_not_sent() -> None:
    buffer = SendBuffer()
    buffer.put(framed(1, 10))
    buffer.put_event("t", ORIGIN, 2, b"e")
    buffer.clear()
    assert (drained(buffer), buffer.size) == (b"", 0)


def test_what_is_closed_takes_nothing() -> None:
    buffer = SendBuffer()
    buffer.closed = True
    buffer.put(framed(1, 10))
    buffer.put_bytes(b"x")
    assert not buffer.put_event("t", ORIGIN, 1, b"x")
    assert not buffer.put_event("t", ORIGIN, 2, b"x" * 5000)
    assert (buffer.size, list(buffer.chunks)) == (0, [])
