"""The send buffer: however much of each write is taken, all comes out once, whole, and in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrsbus.transports.port import MOST_BUFFERS
from cqrsbus.transports.send_buffer import (
    BATCH_MESSAGES,
    LARGEST_IN_BATCH,
    LONGEST_WRITE,
    UNJOINED_FROM,
    WRITE_SIZE,
    SendBuffer,
)
from cqrsbus.wire.batch import answers, messages_in, singles
from cqrsbus.wire.envelope import Envelope
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.origin import Origin
from cqrsbus.wire.reader import LONGEST_READ, FrameReader

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


WAYS = st.sampled_from(["frame", "event", "event", "query", "query", "answer", "answer"])
#: What is numbered seldom has a gap; who grants the same time seldom does not.
GAPS = st.sampled_from([0, 0, 0, 0, 1])
PUTS = st.lists(st.tuples(WAYS, SIZES, st.sampled_from(["t", "u"]), GAPS, GAPS), max_size=12)


@given(PUTS, st.data())
def test_all_comes_out_once_whole_and_in_order(puts: list[tuple[str, int, str, int, int]], data: st.DataObject) -> None:
    buffer, expected, number, id = SendBuffer(), list[Frame](), 0, 100
    for way, size, topic, gap, ttl in puts:
        number, id, body = number + 1 + gap, id + 1 + gap, b"x" * size
        match way:
            case "event":
                expected.append(framed(number, size, topic.encode()))
                buffer.put_event(topic, ORIGIN, number, body)
            case "query":
                header = ORIGIN.header(number)
                expected.append(Frame.of(Kind.ASK, topic=topic.encode(), header=header, body=body, id=id, ttl=ttl))
                buffer.put_query(topic, ORIGIN, number, body, id, ttl)
            case "answer":
                header = b"" if topic == "t" else b"header"
                expected.append(Frame.of(Kind.REPLY, header=header, body=body, id=id))
                buffer.put_answer(id, header, body)
            case _:
                expected.append(framed(number, size, topic.encode()))
                buffer.put(expected[-1])
    found = frames_in(drained(buffer, data))
    assert [each for frame in found for each in apart(frame)] == expected


def apart(frame: Frame) -> list[Frame]:
    """What is in it, each in a frame of its own."""
    if not frame.flags & Flag.BATCH:
        return [frame]
    return answers(frame) if frame.kind == Kind.REPLY else list(singles(frame))


@given(st.lists(st.integers(1, 3 * UNJOINED_FROM), min_size=1, max_size=8), st.data())
def test_what_came_in_portions_leaves_in_them(sizes: list[int], data: st.DataObject) -> None:
    buffer, frame = SendBuffer(), Frame(Kind.PUBLISH, topic_size=1)
    frame.come_in(b"t" + bytes(3), [bytes([number]) * size for number, size in enumerate(sizes)])
    expected = Frame(Kind.PUBLISH, topic_size=1, tail=Frame(Kind.PUBLISH).carry(frame).tail)
    buffer.put(framed(1, 10))
    buffer.put(frame)
    buffer.put(framed(2, 10))
    assert frame.portions is not None
    assert frames_in(drained(buffer, data)) == [framed(1, 10), expected, framed(2, 10)]


def test_as_many_events_of_a_kibibyte_as_a_batch_may_have_are_one_batch() -> None:
    buffer = SendBuffer()
    for number in range(BATCH_MESSAGES):
        buffer.put_event("t", ORIGIN, number, bytes(1024 + 3))
    assert [messages_in(frame) for frame in frames_in(drained(buffer))] == [BATCH_MESSAGES]


def test_four_bodies_of_64_kibibytes_and_their_heads_are_one_write_and_one_read() -> None:
    buffer = SendBuffer()
    for number in range(4):
        buffer.put(framed(number, 64 * 1024 + 5, topic=b"t" * 255))
    write = buffer.take()
    assert not buffer.chunks
    assert sum(map(len, write)) <= LONGEST_READ


def test_more_chunks_than_the_system_takes_leave_in_several_writes() -> None:
    buffer, sent = SendBuffer(), [framed(number, UNJOINED_FROM) for number in range(MOST_BUFFERS)]
    for frame in sent:
        buffer.put(frame)
    assert frames_in(drained(buffer)) == sent


def test_what_is_longer_than_the_longest_write_leaves_in_several() -> None:
    buffer, sent = SendBuffer(), framed(1, 3 * LONGEST_WRITE)
    buffer.put(sent)
    assert drained(buffer) == sent.encode()


def test_a_large_body_and_its_head_are_one_write() -> None:
    buffer = SendBuffer()
    buffer.put(framed(1, 1024 * 1024))
    assert sum(map(len, buffer.take())) == framed(1, 1024 * 1024).size


def test_what_follows_each_other_leaves_together() -> None:
    buffer = SendBuffer()
    for number in range(3):
        buffer.put_query("t", ORIGIN, number, b"x", 7 + number, 5)
    for number in range(3):
        buffer.put_query("t", ORIGIN, 3 + number, b"x", 10 + number, 6)
    assert buffer.waiting == 4
    for id in range(4):
        buffer.put_answer(20 + id, b"", b"y")
    for id in range(2):
        buffer.put_answer(24 + id, b"header", b"y")
    found = frames_in(drained(buffer))
    assert [(frame.kind, frame.id, frame.ttl, frame.detail) for frame in found] == [
        (Kind.ASK, 7, 5, 3),
        (Kind.ASK, 10, 6, 3),
        (Kind.REPLY, 20, 0, 4),
        (Kind.REPLY, 24, 0, 2),
    ]
    assert buffer.waiting == 0


@pytest.mark.parametrize(
    ("number", "id", "ttl"), [(3, 8, 5), (2, 9, 5), (2, 8, 6)], ids=["message's number", "request's number", "time"]
)
def test_queries_that_do_not_follow_each_other_are_not_joined(number: int, id: int, ttl: int) -> None:
    buffer = SendBuffer()
    buffer.put_query("t", ORIGIN, 1, b"x", 7, 5)
    buffer.put_query("t", ORIGIN, number, b"x", id, ttl)
    assert [frame.flags for frame in frames_in(drained(buffer))] == [0, 0]


def test_the_first_of_what_leaves_together_is_told() -> None:
    buffer = SendBuffer()
    told = [buffer.put_event("t", ORIGIN, number, b"x") for number in range(3)]
    told.append(buffer.put_event("u", ORIGIN, 3, b"x"))
    told.append(buffer.put_event("u", ORIGIN, 4, b"x" * LARGEST_IN_BATCH))
    told.append(buffer.put_event("u", ORIGIN, 5, b"x" * (LARGEST_IN_BATCH + 1)))
    assert told == [True, False, False, True, False, True]
    assert [messages_in(frame) for frame in frames_in(drained(buffer))] == [3, 2, 1]


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
    buffer.put_query("t", ORIGIN, 1, b"x", 1, 0)
    buffer.put_answer(1, b"", b"x")
    buffer.end_batch()
    assert (buffer.size, list(buffer.chunks)) == (0, [])
