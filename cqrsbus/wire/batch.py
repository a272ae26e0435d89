"""A batch: several events on one topic in one frame.

The rules:

1. Behind the topic and the header of a PUBLISH or DELIVER with the flag BATCH come the lengths of the bodies, and then
   the bodies, one behind the other::

       length ... | body ...
       u32        | opaque

   ``detail`` is how many there are, from 1.
2. The header is the first event's envelope. The others say the same of themselves, but for their ids: these are the
   first one's, counted up in its last :data:`~cqrsbus.wire.origin.DIGITS` letters, a hexadecimal number.
3. A batch means the same as its events one after the other, each in a frame of its own. So it may be cut between any
   two of them, and whatever is counted in bytes or messages is counted as if they had come so.
4. A batch's header has at most :data:`MAX_BATCH_HEADER` bytes. An event with a longer one has a frame of its own. A
   batch has at most :data:`MAX_EVENTS` events: it is carried out in one go, and others wait for that.

Like Kafka's record batches: whoever publishes joins what goes the same way, and the broker passes it on as it came. So
the broker's work is by the batch; nothing in it is done for each event.
"""

from collections.abc import Iterator
from functools import lru_cache
from struct import Struct
from typing import Final

from cqrsbus.errors import ProtocolError
from cqrsbus.wire.envelope import decode_envelope, encode_envelope, id_in
from cqrsbus.wire.frames import HEAD_SIZE, Flag, Frame, Kind
from cqrsbus.wire.origin import NUMBERS, Origin, number_in, numbered

MAX_BATCH_HEADER: Final = 1024
MAX_EVENTS: Final = 256
#: Bytes that a body's length takes.
LENGTH_IN_BATCH: Final = 4
_PUBLISH: Final = Kind.PUBLISH.value


class BatchWriter:
    """Joins events on one topic that come from one origin and are numbered without a gap, to be sent in one frame.

    Args:
        topic: The topic of all.
        origin: What all say of themselves.
        number: The first one's.
    """

    __slots__ = ("_bodies", "_first", "count", "next_number", "origin", "size", "topic")

    def __init__(self, topic: str, origin: Origin, number: int) -> None:
        self.topic = topic
        self.origin = origin
        self._first = self.next_number = number
        self._bodies: list[bytes] = []
        self.count = 0
        #: Bytes of the bodies and their lengths.
        self.size = 0

    def add(self, body: bytes) -> None:
        """Add the next event."""
        self._bodies.append(body)
        self.count += 1
        self.next_number += 1
        self.size += LENGTH_IN_BATCH + len(body)

    def frame(self) -> Frame:
        """The frame to send; of a single event a frame of its own."""
        bodies, count = self._bodies, self.count
        topic, header = self.topic.encode(), self.origin.header(self._first)
        if count == 1:
            return Frame.of(_PUBLISH, topic=topic, header=header, body=bodies[0])
        lengths = _lengths_of(count).pack(*map(len, bodies))
        tail = b"".join((topic, header, lengths, *bodies))
        return Frame(_PUBLISH, Flag.BATCH, count, tail=tail, topic_size=len(topic), header_size=len(header))


def check_batch(frame: Frame, max_header: int = MAX_BATCH_HEADER) -> None:
    """Check a batch that is only passed on: its header, its ids and its lengths.

    Args:
        frame: The batch.
        max_header: Bytes that its header may have.

    Raises:
        ProtocolError: BAD_FRAME, it is not as many events as it says, or its header is no envelope of such.
    """
    count = frame.detail
    if frame.header_size > max_header:
        raise ProtocolError(f"a batch's header of {frame.header_size} bytes is over the limit of {max_header}")
    if not 0 < count <= MAX_EVENTS:
        raise ProtocolError(f"a batch of {count} events, and not of 1 to {MAX_EVENTS}")
    if number_in(id_in(frame.header)) + count > NUMBERS:
        raise ProtocolError("the ids of a batch are counted beyond what their digits can say")
    start = _bodies_at(frame)
    if start > len(frame.tail) or start + sum(_lengths(frame)) != len(frame.tail):
        raise ProtocolError(f"a batch says that it has {count} events, and is something else")


def bodies(frame: Frame) -> list[bytes]:
    """The body of each event of a batch.

    Raises:
        ProtocolError: BAD_FRAME, it is not as many as it says.
    """
    tail, end, found = frame.tail, _bodies_at(frame), list[bytes]()
    if end > len(tail):
        raise ProtocolError("a batch is shorter than the lengths of its events")
    for length in _lengths(frame):
        start, end = end, end + length
        found.append(tail[start:end])
    if end != len(tail):
        raise ProtocolError("a batch is shorter or longer than its events")
    return found


def singles(frame: Frame) -> Iterator[Frame]:
    """The events of a checked batch, each in a frame of its own."""
    topic, first = frame.tail[: frame.topic_size], decode_envelope(frame.header)
    for place, body in enumerate(bodies(frame)):
        header = encode_envelope(numbered(first, place))
        yield Frame(
            frame.kind, id=frame.id, ttl=frame.ttl, tail=topic + header + body,
            topic_size=frame.topic_size, header_size=len(header),
        )  # fmt: skip


def cut(frame: Frame, count: int) -> tuple[Frame, Frame]:
    """Cut a checked batch in two.

    Args:
        frame: The batch.
        count: How many events the first part has: fewer than the whole, and not 0.
    """
    tail, begin, bodies_at = frame.tail, frame.topic_size + frame.header_size, _bodies_at(frame)
    middle = begin + LENGTH_IN_BATCH * count
    cut_at = bodies_at + sum(_lengths(frame)[:count])
    topic, header = tail[: frame.topic_size], tail[frame.topic_size : begin]
    other = encode_envelope(numbered(decode_envelope(header), count))
    first = _part(frame, count, topic, header, tail[begin:middle] + tail[bodies_at:cut_at])
    return first, _part(frame, frame.detail - count, topic, other, tail[middle:bodies_at] + tail[cut_at:])


def leading(frame: Frame, most: int, size: int) -> int:
    """How many events of a checked batch, from the first, can be given to whoever has credit for this much.

    Args:
        frame: The batch.
        most: Messages.
        size: Bytes; the last event may exceed them.
    """
    shared, count = frame.topic_size + frame.header_size, 0
    for length in _lengths(frame):
        if count >= most or size <= 0:
            break
        size -= shared + length
        count += 1
    return count


def events_in(frame: Frame) -> int:
    """How many events a PUBLISH carries."""
    return frame.detail if frame.flags & Flag.BATCH else 1


def events_size(frame: Frame) -> int:
    """Bytes of topic, header and body of all events of a PUBLISH, as if each had come in a frame of its own."""
    size = len(frame.tail)
    if frame.flags & Flag.BATCH:
        shared = frame.topic_size + frame.header_size
        size += frame.detail * (shared - LENGTH_IN_BATCH) - shared
    return size


def frames_size(frame: Frame) -> int:
    """The same with the heads of those frames: what a PUBLISH takes of the window."""
    return events_size(frame) + events_in(frame) * HEAD_SIZE


def _lengths(frame: Frame) -> tuple[int, ...]:
    lengths: tuple[int, ...] = _lengths_of(frame.detail).unpack_from(frame.tail, frame.topic_size + frame.header_size)
    return lengths


@lru_cache(maxsize=MAX_EVENTS)
def _lengths_of(count: int) -> Struct:
    return Struct(f"!{count}I")


def _bodies_at(frame: Frame) -> int:
    return frame.topic_size + frame.header_size + LENGTH_IN_BATCH * frame.detail


def _part(frame: Frame, count: int, topic: bytes, header: bytes, rest: bytes) -> Frame:
    tail = topic + header + rest
    return Frame(
        frame.kind, frame.flags, count, id=frame.id, ttl=frame.ttl, tail=tail, topic_size=len(topic),
        header_size=len(header),
    )  # fmt: skip
