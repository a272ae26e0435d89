"""What waits to be sent over a connection: frames, joined to as few writes as can be. It does no I/O.

The rules:

1. What is put in one go leaves in one write: small frames joined, up to 64 KiB, and large ones as they are, up to 1
   MiB.
2. Events on one topic that are put one behind the other leave in one batch, until something else is put or it is ended.
3. Whatever a write was not taken of is put back, and is the first of the next one.
"""

from collections import deque

from cqrsbus.transports.port import MOST_BUFFERS
from cqrsbus.wire.batch import LENGTH_IN_BATCH, MAX_BATCH_HEADER, BatchWriter
from cqrsbus.wire.frames import Frame, Kind
from cqrsbus.wire.origin import Origin

#: Chunks are joined up to this size.
WRITE_SIZE = 65536
#: What one system call is given at most: a body of 1 MiB, and what stands before it.
LONGEST_WRITE = 1024 * 1024 + WRITE_SIZE
#: A batch has at most so many events and bytes: what it is for, to save work for each event, is achieved by then.
BATCH_EVENTS = 128
BATCH_SIZE = 32768
#: A larger event has a frame of its own, which is not copied so often.
LARGEST_IN_BATCH = 2048
#: Up to this size a copy costs less than to keep the tail apart, which other connections may share.
SHARED_FROM = 1024
#: From this size it is handed to the system as it is.
UNJOINED_FROM = 16384
_PUBLISH = Kind.PUBLISH.value


class SendBuffer:
    """Frames that wait to be sent."""

    __slots__ = ("_batch", "_large", "chunks", "closed", "max_batch", "size")

    def __init__(self) -> None:
        #: Whether nothing is taken any more.
        self.closed = False
        #: What the next writes are made of; a batch that has not ended is not among it.
        self.chunks: deque[bytes | memoryview] = deque()
        #: Bytes that wait, those of the batch included.
        self.size = 0
        #: Bytes of the bodies of a batch; less where the peer takes small frames only.
        self.max_batch = BATCH_SIZE
        #: Whether there may be a chunk that is not worth joining.
        self._large = False
        self._batch: BatchWriter | None = None

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
        size = len(body)
        if size > LARGEST_IN_BATCH or origin.header_size > MAX_BATCH_HEADER:
            self.put(Frame.of(_PUBLISH, topic=topic.encode(), header=origin.header(number), body=body))
            return True
        batch = self._batch
        if (
            batch is None
            or batch.next_number != number
            or batch.topic != topic
            or not batch.origin.same(origin)
            or batch.count >= BATCH_EVENTS
            or batch.size + size > self.max_batch
        ):
            self.end_batch()
            batch = self._batch = BatchWriter(topic, origin, number)
        batch.add(body)
        self.size += LENGTH_IN_BATCH + size
        return batch.count == 1

    def put_bytes(self, data: bytes) -> None:
        """Add bytes that are no frame."""
        if self.closed:
            return
        self.end_batch()
        self.chunks.append(data)
        self.size += len(data)

    def end_batch(self) -> None:
        """Let the events that were put last be sent; what is put from now on is not joined to them."""
        batch, self._batch = self._batch, None
        if batch is not None:
            self.size -= batch.size
            self._append(batch.frame())

    def clear(self) -> None:
        """Forget everything."""
        self._batch = None
        self.chunks.clear()
        self.size = 0

    def take(self) -> list[bytes | memoryview]:
        """The next write: small chunks joined, large ones as they are, the last of them cut off if it is too long.

        There is to be something to write. It counts as waiting until it is said to be :meth:`sent`.
        """
        chunks = self.chunks
        if self.size <= WRITE_SIZE and not self._large:
            everything = b"".join(chunks) if len(chunks) > 1 else chunks[0]
            chunks.clear()
            return [everything]
        taken: list[bytes | memoryview] = []
        size = 0
        while chunks and size <= LONGEST_WRITE - WRITE_SIZE and len(taken) < MOST_BUFFERS:
            data = self.cut(LONGEST_WRITE - size) if len(chunks[0]) >= UNJOINED_FROM else self._join_small()
            taken.append(data)
            size += len(data)
        self._large = bool(chunks)
        return taken

    def cut(self, size: int) -> bytes | memoryview:
        """The first chunk, or so much of it."""
        first = self.chunks.popleft()
        if len(first) <= size:
            return first
        view = memoryview(first)
        self.chunks.appendleft(view[size:])
        return view[:size]

    def put_back(self, buffers: list[bytes | memoryview], size: int) -> None:
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

    def _append(self, frame: Frame) -> None:
        head, tail = frame.head(), frame.tail
        if len(tail) <= SHARED_FROM:
            data = head + tail
            self.chunks.append(data)
            self.size += len(data)
        else:
            self.chunks.append(head)
            self.chunks.append(tail)
            self._large = self._large or len(tail) >= UNJOINED_FROM
            self.size += len(head) + len(tail)

    def _join_small(self) -> bytes | memoryview:
        """The small chunks at the front, up to a write of usual size, as one."""
        chunks, joined, size = self.chunks, list[bytes | memoryview](), 0
        while chunks and len(chunks[0]) < UNJOINED_FROM and size + len(chunks[0]) <= WRITE_SIZE:
            joined.append(chunks.popleft())
            size += len(joined[-1])
        return b"".join(joined) if len(joined) > 1 else joined[0]
