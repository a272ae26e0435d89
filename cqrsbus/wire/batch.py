"""A batch: several events on one topic in one frame.

The rules:

1. Behind the topic of a PUBLISH or DELIVER with the flag BATCH come records, one behind the other, and nothing else::

       length  header#  | header | body
       u32     u16      | msgpack | opaque

   ``length`` counts every byte of the record after itself; ``detail`` is how many records there are, from 1.
2. A batch means the same as its events one after the other, each in a frame of its own. So it may be cut between any
   two records, and whatever is counted in bytes or messages is counted as if they had come so.
3. A record's header has at most :data:`MAX_RECORD_HEADER` bytes. An event with a longer one has a frame of its own. A
   batch has at most :data:`MAX_EVENTS` events: it is carried out in one go, and others wait for that.

Like Kafka's record batches: whoever publishes joins what goes the same way, and the broker passes it on as it came. So
the broker's work is by the batch, and of each event it only looks at the header.
"""

from collections.abc import Iterator
from struct import Struct
from struct import error as struct_error
from typing import Final

from cqrsbus.errors import ProtocolError
from cqrsbus.wire.envelope import SHORT_HEAD, SHORT_HEADERS, check_envelope
from cqrsbus.wire.frames import HEAD_SIZE, Flag, Frame, Kind

RECORD: Final = Struct("!IH")
RECORD_SIZE: Final = RECORD.size
MAX_RECORD_HEADER: Final = 1024
MAX_EVENTS: Final = 256
#: The same, with the first bytes of the header. The shortest header, that of an id of one letter, has six.
_RECORD_AND_START: Final = Struct("!IH5s")
#: ``length`` counts the header's size, but not itself.
_LENGTH_SIZE: Final = 4
_COUNTED: Final = RECORD_SIZE - _LENGTH_SIZE
_PUBLISH: Final = Kind.PUBLISH.value


class BatchWriter:
    """Joins events on one topic, to be sent in one frame.

    Args:
        topic: The topic of all.
    """

    __slots__ = ("_parts", "count", "size", "topic")

    def __init__(self, topic: bytes) -> None:
        self.topic = topic
        self.count = 0
        #: Bytes of the records.
        self.size = 0
        self._parts: list[bytes] = []

    def add(self, header: bytes, body: bytes) -> None:
        """Add an event."""
        header_size = len(header)
        length = _COUNTED + header_size + len(body)
        self._parts += (RECORD.pack(length, header_size), header, body)
        self.count += 1
        self.size += _LENGTH_SIZE + length

    def frame(self) -> Frame:
        """The frame to send; of a single event a frame of its own."""
        if self.count == 1:
            _, header, body = self._parts
            return Frame.of(_PUBLISH, topic=self.topic, header=header, body=body)
        return Frame.of(_PUBLISH, topic=self.topic, body=b"".join(self._parts), flags=Flag.BATCH, detail=self.count)


def check_batch(frame: Frame, max_header: int = MAX_RECORD_HEADER) -> None:
    """Check a batch that is only passed on: its records and their headers.

    Args:
        frame: The batch.
        max_header: Bytes that the header of a record may have.

    Raises:
        ProtocolError: BAD_FRAME, it is not as many records as it says, or the header of one is no envelope.
    """
    tail, offset, count = frame.tail, frame.topic_size, 0
    size, unpack, short = len(tail), _RECORD_AND_START.unpack_from, SHORT_HEADERS.get
    if frame.header_size:
        raise ProtocolError("a batch has no header of its own")
    if frame.detail > MAX_EVENTS:
        raise ProtocolError(f"a batch of {frame.detail} events is over the limit of {MAX_EVENTS}")
    try:
        while offset < size:
            length, header_size, start = unpack(tail, offset)
            begin = offset + RECORD_SIZE
            end = begin + header_size
            offset += _LENGTH_SIZE + length
            if end > offset or header_size > max_header:
                raise ProtocolError("a record of a batch is shorter than its header, or that is too long")
            # Nearly every header says no more than an id of ASCII letters.
            if short(start) != header_size or not tail[begin + SHORT_HEAD : end].isascii():
                check_envelope(tail[begin:end])
            count += 1
    except struct_error:
        raise ProtocolError("a batch ends in the middle of a record") from None
    if offset != size or not 0 < count == frame.detail:
        raise ProtocolError(f"a batch says that it has {frame.detail} records, and is something else")


def records(frame: Frame) -> Iterator[tuple[bytes, bytes]]:
    """Header and body of each event of a batch.

    Raises:
        ProtocolError: BAD_FRAME, the rest is no record.
    """
    tail, offset = frame.tail, frame.topic_size
    size, unpack = len(tail), RECORD.unpack_from
    while offset < size:
        if size - offset < RECORD_SIZE:
            raise ProtocolError("a batch ends in the middle of a record")
        length, header_size = unpack(tail, offset)
        begin = offset + RECORD_SIZE
        body = begin + header_size
        offset += _LENGTH_SIZE + length
        if body > offset or offset > size:
            raise ProtocolError("a record of a batch is shorter than its header, or longer than the batch")
        yield tail[begin:body], tail[body:offset]


def singles(frame: Frame) -> Iterator[Frame]:
    """The events of a checked batch, each in a frame of its own."""
    topic = frame.tail[: frame.topic_size]
    for header, body in records(frame):
        yield Frame(
            frame.kind, id=frame.id, ttl=frame.ttl, tail=topic + header + body,
            topic_size=frame.topic_size, header_size=len(header),
        )  # fmt: skip


def cut(frame: Frame, count: int) -> tuple[Frame, Frame]:
    """Cut a checked batch in two.

    Args:
        frame: The batch.
        count: How many records the first part has: fewer than the whole, and not 0.
    """
    tail, topic_size = frame.tail, frame.topic_size
    offset = topic_size
    for _ in range(count):
        offset += _LENGTH_SIZE + int.from_bytes(tail[offset : offset + _LENGTH_SIZE], "big")
    return _part(frame, tail[:offset], count), _part(frame, tail[:topic_size] + tail[offset:], frame.detail - count)


def leading(frame: Frame, most: int, size: int) -> int:
    """How many events of a checked batch, from the first, can be given to whoever has credit for this much.

    Args:
        frame: The batch.
        most: Messages.
        size: Bytes; the last event may exceed them.
    """
    tail, offset, count = frame.tail, frame.topic_size, 0
    while count < min(most, frame.detail) and size > 0:
        length = int.from_bytes(tail[offset : offset + _LENGTH_SIZE], "big")
        offset += _LENGTH_SIZE + length
        size -= frame.topic_size + length - _COUNTED
        count += 1
    return count


def events_in(frame: Frame) -> int:
    """How many events a PUBLISH carries."""
    return frame.detail if frame.flags & Flag.BATCH else 1


def events_size(frame: Frame) -> int:
    """Bytes of topic, header and body of all events of a PUBLISH, as if each had come in a frame of its own."""
    size = len(frame.tail)
    if frame.flags & Flag.BATCH:
        size += frame.detail * (frame.topic_size - RECORD_SIZE) - frame.topic_size
    return size


def frames_size(frame: Frame) -> int:
    """The same with the heads of those frames: what a PUBLISH takes of the window."""
    return events_size(frame) + events_in(frame) * HEAD_SIZE


def _part(frame: Frame, tail: bytes, count: int) -> Frame:
    return Frame(frame.kind, frame.flags, count, id=frame.id, ttl=frame.ttl, tail=tail, topic_size=frame.topic_size)
