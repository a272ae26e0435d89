"""What waits to be sent over a connection: frames, joined to as few writes as can be. It does no I/O.

The rules:

1. What is put in one go leaves in one write: small frames joined, up to 64 KiB, and large ones as they are, up to 1
   MiB.
2. Events on one topic that are put one behind the other leave in one batch, and so do queries and answers, until
   something else is put or it is ended.
3. Whatever a write was not taken of is put back, and is the first of the next one.
"""

from collections import deque
from typing import Final

from cqrsbus.transports.port import MOST_BUFFERS
from cqrsbus.wire.batch import LENGTH_IN_BATCH, MAX_BATCH_HEADER, BatchWriter
from cqrsbus.wire.frames import Frame, Kind, Portion
from cqrsbus.wire.origin import Origin

#: Chunks are joined up to this size.
WRITE_SIZE: Final = 65536
#: What one system call is given at most: a body of 1 MiB, and what stands before it.
LONGEST_WRITE: Final = 1024 * 1024 + WRITE_SIZE
#: So few chunks are handed over as they are, if they fit: to look which of them to join takes longer.
FEW_CHUNKS: Final = 16
#: A batch has at most so many messages and bytes, which so many of 1 KiB have with what stands around each: what it is
#: for, to save work for each, is achieved by then.
BATCH_MESSAGES: Final = 128
BATCH_SIZE: Final = 136 * 1024
#: A larger message has a frame of its own: to join it costs both ends one copy more, from about here on more than it
#: saves them.
LARGEST_IN_BATCH: Final = 6 * 1024
#: Up to this size a copy costs less than to keep the tail apart, which other connections may share.
SHARED_FROM: Final = 1024
#: From this size it is handed to the system as it is.
UNJOINED_FROM: Final = 16384
# Plain numbers: looking up a member of an enum costs more than using it.
_ASK: Final = Kind.ASK.value
_PUBLISH: Final = Kind.PUBLISH.value
_REPLY: Final = Kind.REPLY.value


class SendBuffer:
    """Frames that wait to be sent."""

    __slots__ = ("_batch", "_first", "_large", "_origin", "_topic", "chunks", "closed", "max_batch", "size")

    def __init__(self) -> None:
        #: Whether nothing is taken any more.
        self.closed = False
        #: What the next writes are made of; a batch that has not ended is not among it.
        self.chunks: deque[Portion] = deque()
        #: Bytes that wait, those of the batch included.
        self.size = 0
        #: Bytes of the bodies of a batch; less where the peer takes small frames only.
        self.max_batch = BATCH_SIZE
        #: Whether there may be a chunk that is not worth joining.
        self._large = False
        self._batch: BatchWriter | None = None
        #: What the messages of the batch say of themselves, their topic, and the number of the first.
        self._origin: Origin | None = None
        self._topic = ""
        self._first = 0

    @property
    def waiting(self) -> int:
        """How many frames and messages wait."""
        batch = self._batch
        return len(self.chunks) if batch is None else len(self.chunks) + batch.count

    def put(self, frame: Frame) -> None:
        """Add a frame."""
        if self.closed:
            return
        if self._batch is not None:
            self.end_batch()
        self._append(frame)

    def put_event(self, topic: str, origin: Origin, number: int, body: bytes) -> bool:
        """Add an event: a PUBLISH frame, or a part of one; returns whether it is the first of it."""
        if self.closed:
            return False
        batch = self._batch
        if (
            batch is None
            or self._first + batch.count != number
            or batch.frame.kind != _PUBLISH
            or self._is_full(batch, len(body))
            or not self._is_of(topic, origin)
        ):
            self._begin(self._of(_PUBLISH, topic, origin, number), body)
            return True
        self._add(batch, body)
        return False

    def put_query(self, topic: str, origin: Origin, number: int, body: bytes, id: int, ttl: int) -> None:
        """Add a query: an ASK frame, or a part of one."""
        if self.closed:
            return
        batch = self._batch
        if (
            batch is None
            or self._first + batch.count != number
            or batch.frame.kind != _ASK
            or batch.next_id != id
            or batch.frame.ttl != ttl
            or self._is_full(batch, len(body))
            or not self._is_of(topic, origin)
        ):
            frame = self._of(_ASK, topic, origin, number)
            frame.id, frame.ttl = id, ttl
            self._begin(frame, body)
        else:
            self._add(batch, body)

    def put_answer(self, id: int, header: bytes, body: bytes) -> None:
        """Add an answer to a delivery that came in a batch: a REPLY frame, or a part of one."""
        if self.closed:
            return
        batch = self._batch
        if (
            batch is None
            or batch.frame.kind != _REPLY
            or batch.next_id != id
            or batch.frame.tail != header
            or self._is_full(batch, len(body))
        ):
            self._begin(Frame(_REPLY, id=id, tail=header, header_size=len(header)), body)
        else:
            self._add(batch, body)

    def put_bytes(self, data: bytes) -> None:
        """Add bytes that are no frame."""
        if self.closed:
            return
        self.end_batch()
        self.chunks.append(data)
        self.size += len(data)

    def end_batch(self) -> None:
        """Let what was put last be sent; what is put from now on is not joined to it."""
        batch, self._batch = self._batch, None
        if batch is not None:
            self.size -= batch.size
            self._append(batch.end())

    def clear(self) -> None:
        """Forget everything."""
        self._batch = None
        self.chunks.clear()
        self.size = 0

    def take(self) -> list[Portion]:
        """The next write: small chunks joined, large ones as they are, the last of them cut off if it is too long.

        There is to be something to write. It counts as waiting until it is said to be :meth:`sent`.
        """
        chunks = self.chunks
        if self.size <= WRITE_SIZE and not self._large:
            everything = b"".join(chunks) if len(chunks) > 1 else chunks[0]
            chunks.clear()
            return [everything]
        if self.size <= LONGEST_WRITE and len(chunks) <= FEW_CHUNKS:
            whole = list(chunks)
            chunks.clear()
            self._large = False
            return whole
        taken: list[Portion] = []
        size = 0
        while chunks and len(taken) < MOST_BUFFERS:
            room, first = LONGEST_WRITE - size, len(chunks[0])
            if room < min(first, UNJOINED_FROM):
                break
            data = self.cut(room) if first >= UNJOINED_FROM else self._join_small(min(room, WRITE_SIZE))
            taken.append(data)
            size += len(data)
        self._large = bool(chunks)
        return taken

    def cut(self, size: int) -> Portion:
        """The first chunk, or so much of it."""
        first = self.chunks.popleft()
        if len(first) <= size:
            return first
        view = memoryview(first)
        self.chunks.appendleft(view[size:])
        return view[:size]

    def put_back(self, buffers: list[Portion], size: int) -> None:
        """Keep the last bytes of a write, so many, for the next one."""
        self._large = True
        while size:
            data = buffers.pop()
            if len(data) > size:
                data = memoryview(data)[len(data) - size :]
            self.chunks.appendleft(data)
            size -= len(data)

    def sent(self, size: int) -> None:
        """So many bytes of what was taken wait no more."""
        self.size -= size

    def _of(self, kind: int, topic: str, origin: Origin, number: int) -> Frame:
        """The frame of the first message that may go in a batch, but for its body."""
        topic_bytes, header = topic.encode(), origin.header(number)
        self._topic, self._origin, self._first = topic, origin, number
        return Frame(kind, tail=topic_bytes + header, topic_size=len(topic_bytes), header_size=len(header))

    def _is_of(self, topic: str, origin: Origin) -> bool:
        """Whether a message says of itself what the others in the batch do."""
        begun = self._origin
        return self._topic == topic and begun is not None and (begun is origin or begun.same(origin))

    def _is_full(self, batch: BatchWriter, size: int) -> bool:
        return size > LARGEST_IN_BATCH or batch.count >= BATCH_MESSAGES or batch.size + size > self.max_batch

    def _begin(self, frame: Frame, body: bytes) -> None:
        """Add what is not joined to what was put before, but perhaps to what follows."""
        if len(body) > LARGEST_IN_BATCH or frame.header_size > MAX_BATCH_HEADER:
            frame.tail += body
            self.put(frame)
        else:
            self.end_batch()
            batch = self._batch = BatchWriter(frame)
            self._add(batch, body)

    def _add(self, batch: BatchWriter, body: bytes) -> None:
        batch.add(body)
        self.size += LENGTH_IN_BATCH + len(body)

    def _append(self, frame: Frame) -> None:
        head, portions = frame.head(), frame.portions
        if portions is not None:
            self.chunks.append(head)
            self.chunks += portions
            self._large = True
            self.size += len(head) + frame.tail_size
            return
        tail = frame.tail
        if len(tail) <= SHARED_FROM:
            data = head + tail
            self.chunks.append(data)
            self.size += len(data)
        else:
            self.chunks.append(head)
            self.chunks.append(tail)
            self._large = self._large or len(tail) >= UNJOINED_FROM
            self.size += len(head) + len(tail)

    def _join_small(self, most: int) -> Portion:
        """The small chunks at the front, so many bytes at most, as one; the first is no more than that."""
        chunks, joined, size = self.chunks, list[Portion](), 0
        while chunks and len(chunks[0]) < UNJOINED_FROM and size + len(chunks[0]) <= most:
            joined.append(chunks.popleft())
            size += len(joined[-1])
        return b"".join(joined) if len(joined) > 1 else joined[0]
