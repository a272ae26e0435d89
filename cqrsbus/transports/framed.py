"""Frames over a byte stream, for either side of a connection.

The rules:

1. What is put is only buffered. One writer owns the sending side: either the task in :meth:`FramedStream.write`
   or, while that one has nothing to do, :meth:`FramedStream.flush_nowait`. So no frame is ever torn by a
   cancelled caller, and frames put in one go leave in one write of up to 64 KiB. Events on one topic that are put
   one behind the other in one go leave in one batch.
2. The buffer's bound is the owner's policy: a broker cuts off who exceeds it, a client waits for room.
3. A write, of up to 64 KiB, that is not taken within ``write_timeout`` seconds ends the connection.
4. The end is said before it is made: what is buffered is flushed, the sending side is closed, and what the
   peer still sends is read away for a moment, so that the system does not replace our last words by a reset.
"""

from collections import deque

import anyio
from anyio.lowlevel import checkpoint

from cqrsbus.errors import ProtocolError
from cqrsbus.transports.port import ByteStream
from cqrsbus.wire.batch import MAX_RECORD_HEADER, RECORD_SIZE, BatchWriter
from cqrsbus.wire.connection import Connection
from cqrsbus.wire.frames import Frame, Kind

WRITE_SIZE = 65536
#: A batch has at most so many events and bytes: what it is for, to save work for each event, is achieved by then.
BATCH_EVENTS = 64
BATCH_SIZE = 32768
#: A larger event has a frame of its own, which is not copied so often.
LARGEST_RECORD = 2048
#: Up to this size a copy costs less than to keep the tail apart, which other connections may share.
SHARED_FROM = 1024
_PUBLISH = Kind.PUBLISH.value


class FramedStream:
    """A connection that takes and gives frames.

    Args:
        stream: The bytes.
        connection: The protocol's state for our side.
        write_timeout: Seconds after which a write of up to 64 KiB has failed.
    """

    def __init__(self, stream: ByteStream, connection: Connection, *, write_timeout: float) -> None:
        self.connection = connection
        self._stream = stream
        self._write_timeout = write_timeout
        #: How the peer broke the protocol, right behind the frames that were received last.
        self.failure: ProtocolError | None = None
        self._chunks: deque[bytes | memoryview] = deque()
        self._batch: BatchWriter | None = None
        #: Bytes of the events of a batch; less where the peer takes small frames only.
        self.max_batch = BATCH_SIZE
        self._wake: anyio.Event | None = None
        self._room: anyio.Event | None = None
        self._finished = False
        self._broken = False
        self._writing = False
        #: Whether the peer has ended the stream, be it in the middle of a frame.
        self.ended = False
        #: Bytes that wait to be sent.
        self.buffered = 0
        self.last_sent = self.last_received = anyio.current_time()

    @property
    def peer(self) -> str:
        """The other end, for messages."""
        return self._stream.peer

    def put(self, frame: Frame) -> None:
        """Buffer a frame; call :meth:`flush_soon` or :meth:`flush_nowait` when done putting."""
        if self._finished or self._broken:
            return
        if self._batch is not None:
            self._end_batch()
        self._append(frame)

    def put_event(self, topic: bytes, header: bytes, body: bytes) -> None:
        """Buffer an event: a PUBLISH frame, or a part of one; see :meth:`put`."""
        if self._finished or self._broken:
            return
        size = RECORD_SIZE + len(header) + len(body)
        if size > LARGEST_RECORD or len(header) > MAX_RECORD_HEADER:
            self.put(Frame.of(_PUBLISH, topic=topic, header=header, body=body))
            return
        batch = self._batch
        if batch is None or batch.topic != topic or batch.count >= BATCH_EVENTS or batch.size + size > self.max_batch:
            self._end_batch()
            batch = self._batch = BatchWriter(topic)
        batch.add(header, body)
        self.buffered += size

    def _end_batch(self) -> None:
        batch, self._batch = self._batch, None
        if batch is not None:
            self.buffered -= batch.size
            self._append(batch.frame())

    def _append(self, frame: Frame) -> None:
        head, tail = frame.head(), frame.tail
        if len(tail) <= SHARED_FROM:
            data = head + tail
            self._chunks.append(data)
            self.buffered += len(data)
        else:
            self._chunks.append(head)
            self._chunks.append(tail)
            self.buffered += len(head) + len(tail)

    def put_bytes(self, data: bytes) -> None:
        """Buffer bytes that are no frame: the preamble, or an answer in another protocol."""
        if not (self._finished or self._broken):
            self._end_batch()
            self._chunks.append(data)
            self.buffered += len(data)

    def flush_soon(self) -> None:
        """Let the writer's task send what is buffered, together with what else is put until it runs."""
        if self._wake is not None:
            self._wake.set()
            self._wake = None

    def flush_nowait(self) -> None:
        """Send what the system takes at once, without a switch of tasks; the writer sends the rest."""
        if self._writing or self._broken:
            return
        self._end_batch()
        try:
            while self._chunks:
                data = self._take()
                sent = self._stream.send_nowait(data)
                self._sent(sent)
                if sent < len(data):
                    self._chunks.appendleft(memoryview(data)[sent:])
                    break
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._break()
        if self._chunks:
            self.flush_soon()

    async def wait_room(self, limit: int) -> None:
        """Wait until fewer than ``limit`` bytes are buffered, or the connection is over."""
        while self.buffered >= limit and not (self._broken or self._finished):
            self.flush_soon()
            if self._room is None:
                self._room = anyio.Event()
            await self._room.wait()

    async def write(self) -> None:
        """Send what is put, until :meth:`finish` is called and everything is sent.

        Raises:
            anyio.BrokenResourceError: The peer is gone, or :meth:`close` was called meanwhile.
            anyio.ClosedResourceError: The stream was closed on our side in the middle of a write.
            TimeoutError: The peer takes nothing any more.
        """
        try:
            while True:
                if self._broken:
                    raise anyio.BrokenResourceError
                self._end_batch()
                if self._chunks:
                    await self._write_some()
                elif self._finished:
                    return
                else:
                    self._wake = anyio.Event()
                    await self._wake.wait()
        finally:
            self._break()

    async def receive(self) -> list[Frame] | None:
        """Wait for frames; None is the end of the stream.

        Raises:
            ProtocolError: The peer broke the protocol; frames before that were returned first.
            anyio.BrokenResourceError: The peer is gone.
            anyio.ClosedResourceError: The stream was closed on our side.
        """
        while self.failure is None:
            data = await self._stream.receive()
            self.last_received = anyio.current_time()
            if not data:
                self.ended = True
                self.connection.receive_eof()
                return None
            self.connection.receive_data(data)
            if frames := self._frames():
                return frames
        raise self.failure

    def finish(self) -> None:
        """Take nothing more; the writer ends when it has sent what is buffered."""
        self._finished = True
        self.flush_soon()

    async def linger(self) -> None:
        """Close our sending side and read the peer's away until it closes too; the caller bounds the time."""
        try:
            self._stream.send_eof()
            while await self._stream.receive():
                pass
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass

    def close(self) -> None:
        """Close the stream at once."""
        self._finished = True
        self._break()
        self._stream.close()

    def _frames(self) -> list[Frame]:
        frames: list[Frame] = []
        try:
            self.connection.read_frames(frames)
        except ProtocolError as error:
            self.failure = error
        return frames

    async def _write_some(self) -> None:
        data = self._take()
        self._writing = True
        try:
            sent = self._stream.send_nowait(data)
            if sent < len(data):
                with anyio.fail_after(self._write_timeout):
                    await self._stream.send(memoryview(data)[sent:])
            else:
                await checkpoint()
        finally:
            self._writing = False
        self._sent(len(data))

    def _take(self) -> bytes | memoryview:
        """The next write: small chunks joined, a large one piecewise."""
        if self.buffered <= WRITE_SIZE and len(self._chunks) > 1:
            everything = b"".join(self._chunks)
            self._chunks.clear()
            return everything
        first = self._chunks.popleft()
        if len(first) > WRITE_SIZE:
            view = memoryview(first)
            self._chunks.appendleft(view[WRITE_SIZE:])
            return view[:WRITE_SIZE]
        joined, size = [first], len(first)
        while self._chunks and size + len(self._chunks[0]) <= WRITE_SIZE:
            joined.append(self._chunks.popleft())
            size += len(joined[-1])
        return b"".join(joined) if len(joined) > 1 else first

    def _sent(self, size: int) -> None:
        self.buffered -= size
        self.last_sent = anyio.current_time()
        self._wake_waiting()

    def _break(self) -> None:
        self._broken = True
        self._batch = None
        self._chunks.clear()
        self.buffered = 0
        self.flush_soon()
        self._wake_waiting()

    def _wake_waiting(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None
