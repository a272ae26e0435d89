"""A batch: several messages on one topic, or several answers, in one frame.

The rules:

1. Behind the topic and the header of an ASK, PUBLISH, DELIVER or REPLY with the flag BATCH come the lengths of the
   bodies, and then the bodies, one behind the other::

       length ... | body ...
       u32        | opaque

   ``detail`` is how many there are, from 1.
2. The header is the first message's envelope. The others say the same of themselves, but for their ids: these are the
   first one's, counted up in its last :data:`~cqrsbus.wire.origin.DIGITS` letters, a hexadecimal number. The header of
   answers is that of each.
3. The ``id`` of requests, of deliveries that are to be settled, and of answers is the first one's; those of the others
   count it up.
4. A batch means the same as what is in it one after the other, each in a frame of its own. So it may be cut between any
   two, and whatever is counted in bytes or messages is counted as if they had come so.
5. A batch's header has at most :data:`MAX_BATCH_HEADER` bytes. A message with a longer one has a frame of its own. A
   batch has at most :data:`MAX_IN_BATCH` messages: it is carried out in one go, and others wait for that.

Like Kafka's record batches: whoever publishes joins what goes the same way, and the broker passes it on as it came. So
for events the broker's work is by the batch; nothing in it is done for each.
"""

from collections.abc import Iterator
from functools import lru_cache
from struct import Struct
from typing import Final

from cqrsbus.compiled import is_compiled
from cqrsbus.errors import ProtocolError
from cqrsbus.wire.envelope import decode_envelope, encode_envelope, id_in
from cqrsbus.wire.frames import HEAD_SIZE, MAX_U64, Flag, Frame, Kind
from cqrsbus.wire.origin import NUMBERS, number_in, numbered

MAX_BATCH_HEADER: Final = 1024
MAX_IN_BATCH: Final = 256
#: Bytes that a body's length takes.
LENGTH_IN_BATCH: Final = 4
# Plain numbers: looking up a member of an enum costs more than using it.
_PUBLISH: Final = Kind.PUBLISH.value
_REPLY: Final = Kind.REPLY.value
_BATCH: Final = Flag.BATCH
_COMPILED: Final = is_compiled()


class BatchWriter:
    """Joins what is to be sent in one frame.

    Args:
        frame: The frame, without any body yet; ended, it is what is to be sent.
    """

    __slots__ = ("_bodies", "count", "frame", "size")

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._bodies: list[bytes] = []
        self.count = 0
        #: Bytes of the bodies and their lengths.
        self.size = 0

    @property
    def next_id(self) -> int:
        """The id of what may be added."""
        return self.frame.id + self.count

    def add(self, body: bytes) -> None:
        """Add what is next."""
        self._bodies.append(body)
        self.count += 1
        self.size += LENGTH_IN_BATCH + len(body)

    def end(self) -> Frame:
        """Write the frame; what is alone in it is no batch."""
        frame, bodies, count = self.frame, self._bodies, self.count
        if count == 1:
            frame.tail += bodies[0]
        else:
            frame.flags |= _BATCH
            frame.detail = count
            frame.tail = b"".join((frame.tail, _lengths_of(count).pack(*map(len, bodies)), *bodies))
        return frame


def check_batch(frame: Frame, max_header: int = MAX_BATCH_HEADER) -> None:
    """Check a batch of messages that is only passed on: its header, its ids and its lengths.

    Args:
        frame: The batch.
        max_header: Bytes that its header may have.

    Raises:
        ProtocolError: BAD_FRAME, it is not as many messages as it says, or its header is no envelope of such.
    """
    if frame.header_size > max_header:
        raise ProtocolError(f"a batch's header of {frame.header_size} bytes is over the limit of {max_header}")
    if number_in(id_in(frame.header)) + frame.detail > NUMBERS:
        raise ProtocolError("the ids of a batch are counted beyond what their digits can say")
    check_bodies(frame)


def check_bodies(frame: Frame) -> None:
    """Check how much is in a batch.

    Raises:
        ProtocolError: BAD_FRAME, it is not as many as it says, or their numbers are beyond what a head can say.
    """
    count = frame.detail
    if not 0 < count <= MAX_IN_BATCH:
        raise ProtocolError(f"a batch of {count}, and not of 1 to {MAX_IN_BATCH}")
    if id_at(frame, count - 1) > MAX_U64:
        raise ProtocolError("a batch is numbered beyond what a head can say")
    start, size = _bodies_at(frame), frame.tail_size
    if start > size or start + _bodies_size(frame) != size:
        raise ProtocolError(f"a batch says that {count} are in it, and is something else")


def bodies(frame: Frame) -> list[bytes]:
    """What is in a batch, one body after the other.

    Raises:
        ProtocolError: BAD_FRAME, it is not as many as it says.
    """
    tail, end, found = frame.tail, _bodies_at(frame), list[bytes]()
    if end > len(tail):
        raise ProtocolError("a batch is shorter than the lengths of its bodies")
    for length in _lengths(frame):
        start, end = end, end + length
        found.append(tail[start:end])
    if end != len(tail):
        raise ProtocolError("a batch is shorter or longer than its bodies")
    return found


def singles(frame: Frame) -> Iterator[Frame]:
    """What is in a checked batch of messages, each in a frame of its own."""
    topic, first = frame.tail[: frame.topic_size], decode_envelope(frame.header)
    for place, body in enumerate(bodies(frame)):
        header = encode_envelope(numbered(first, place))
        yield Frame(
            frame.kind, frame.flags & ~_BATCH, id=id_at(frame, place), ttl=frame.ttl, tail=topic + header + body,
            topic_size=frame.topic_size, header_size=len(header),
        )  # fmt: skip


def answers(frame: Frame) -> list[Frame]:
    """The answers of a batch, each in a frame of its own.

    Raises:
        ProtocolError: BAD_FRAME, it is not as many as it says.
    """
    header, id, stamp, size = frame.header, frame.id, frame.stamp, frame.header_size
    return [
        Frame(_REPLY, 0, 0, 0, id + place, 0, stamp, header + body if size else body, 0, size)
        for place, body in enumerate(bodies(frame))
    ]


def id_at(frame: Frame, place: int) -> int:
    """The id that belongs to one of a batch: of events it is that of all, and says nothing."""
    return frame.id + place if frame.id and frame.kind != _PUBLISH else frame.id


def cut(frame: Frame, count: int) -> tuple[Frame, Frame]:
    """Cut a checked batch of events in two.

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


def messages_in(frame: Frame) -> int:
    """How many messages a frame carries."""
    return frame.detail if frame.flags & _BATCH else 1


def messages_size(frame: Frame) -> int:
    """Bytes of topic, header and body of all messages of a frame, as if each had come in a frame of its own."""
    size = frame.tail_size
    if frame.flags & _BATCH:
        shared = frame.topic_size + frame.header_size
        size += frame.detail * (shared - LENGTH_IN_BATCH) - shared
    return size


def frames_size(frame: Frame) -> int:
    """The same with the heads of those frames: what a PUBLISH takes of the window."""
    return messages_size(frame) + messages_in(frame) * HEAD_SIZE


def _lengths(frame: Frame) -> tuple[int, ...]:
    lengths: tuple[int, ...] = _lengths_of(frame.detail).unpack_from(frame.tail, frame.topic_size + frame.header_size)
    return lengths


def _bodies_size(frame: Frame) -> int:
    if not _COMPILED:
        return sum(_lengths(frame))
    # Byte by byte no object is made for each. Interpreted, that would take nine times as long.
    tail, first, second, third, fourth = frame.tail, 0, 0, 0, 0
    for at in range(frame.topic_size + frame.header_size, _bodies_at(frame), LENGTH_IN_BATCH):
        first += tail[at]
        second += tail[at + 1]
        third += tail[at + 2]
        fourth += tail[at + 3]
    return (first << 24) + (second << 16) + (third << 8) + fourth


@lru_cache(maxsize=MAX_IN_BATCH)
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
