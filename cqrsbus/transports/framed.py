"""Frames over a byte stream, for either side of a connection.

The rules:

1. What is put is only buffered. One writer owns the sending side: either the task in :meth:`FramedStream.write`
   or, while that one has nothing to do, :meth:`FramedStream.flush_nowait`. So no frame is ever torn by a
   cancelled caller, and frames put in one go leave in one write (see send_buffer.py, and outbox.py for when).
2. The buffer's bound is the owner's policy: a broker cuts off who exceeds it, a client waits for room.
3. When the system takes no more, and then not 64 KiB (or what is left) within ``write_timeout`` seconds, that ends
   the connection.
4. The end is said before it is made: what is buffered is flushed, the sending side is closed, and what the
   peer still sends is read away for a moment, so that the system does not replace our last words by a reset.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import checkpoint

from cqrsbus.errors import ProtocolError
from cqrsbus.native import asyncio_loop, clock
from cqrsbus.transports.outbox import Outbox
from cqrsbus.transports.port import CHUNK_BYTES, ByteStream, Watchable
from cqrsbus.transports.send_buffer import WRITE_SIZE
from cqrsbus.wire.connection import Connection
from cqrsbus.wire.frames import Frame

if TYPE_CHECKING:
    from asyncio import Future  # noqa: TID251  # only its type

#: After so many received bytes the other tasks get a turn, even if more is there already.
BYTES_PER_TURN = 1024 * 1024


class FramedStream:
    """A connection that takes and gives frames.

    Args:
        stream: The bytes.
        connection: The protocol's state for our side.
        write_timeout: Seconds after which waiting until 64 KiB are taken has failed.
    """

    def __init__(self, stream: ByteStream, connection: Connection, *, write_timeout: float) -> None:
        self.connection = connection
        self._stream = stream
        self._write_timeout = write_timeout
        #: How the peer broke the protocol, right behind the frames that were received last.
        self.failure: ProtocolError | None = None
        #: Where it runs a function at the end of its turn, no task need be woken to send, nor one to receive.
        self._loop = loop = asyncio_loop()
        #: What waits to be sent.
        self.out = Outbox(self.flush_nowait, self._wake_writer, None if loop is None else loop.call_soon)
        #: Sends what was put, with what else is put in this turn of the loop.
        self.flush_soon: Callable[[], None] = self.out.flush_soon
        #: Bytes received since the last turn that others were given.
        self._received = 0
        self._wake: anyio.Event | None = None
        self._room: anyio.Event | None = None
        self._finished = False
        self._broken = False
        self._writing = False
        #: Whether the peer has ended the stream, be it in the middle of a frame.
        self.ended = False
        self._time = clock()
        self.last_sent = self.last_received = self._time()

    @property
    def buffered(self) -> int:
        """Bytes that wait to be sent."""
        return self.out.size

    @property
    def peer(self) -> str:
        """The other end, for messages."""
        return self._stream.peer

    def put(self, frame: Frame) -> None:
        """Buffer a frame; call :meth:`flush_soon` or :meth:`flush_nowait` when done putting."""
        self.out.put(frame)

    def put_bytes(self, data: bytes) -> None:
        """Buffer bytes that are no frame: the preamble, or an answer in another protocol."""
        self.out.put_bytes(data)

    def _wake_writer(self) -> None:
        if self._wake is not None:
            self._wake.set()
            self._wake = None

    def flush_nowait(self) -> None:
        """Send what the system takes at once, without a switch of tasks; the writer sends the rest."""
        if self._writing or self._broken:
            return
        self.out.end_batch()
        try:
            while self.out.chunks and self._send_some():
                pass
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._break()
        if self.out.chunks:
            self._wake_writer()

    async def wait_room(self, limit: int) -> None:
        """Wait until fewer than ``limit`` bytes are buffered, or the connection is over."""
        while self.buffered >= limit and not self.out.closed:
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
                self.out.end_batch()
                if self.out.chunks:
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
            if self._received >= BYTES_PER_TURN:
                self._received = 0
                await checkpoint()
            data = await self._stream.receive(max(CHUNK_BYTES, self.connection.wanted))
            self.last_received = self._time()
            if not data:
                self.ended = True
                self.connection.receive_eof()
                return None
            self._received += len(data)
            self.connection.receive_data(data)
            if frames := self._frames():
                return frames
        raise self.failure

    async def listen(self, consume: Callable[[list[Frame]], bool]) -> None:
        """Give frames to a function as they come, until it returns False or the stream ends.

        Where the event loop watches the stream, the function is called in its own turn, and no task is woken. So it
        must not wait, nor look at the task that runs it, nor ask anyio for the time.

        Args:
            consume: Takes the frames, and says whether to go on.

        Raises:
            Exception: What the function raised, and what :meth:`receive` raises.
        """
        if self._loop is None or self.failure is not None or not isinstance(self._stream, Watchable):
            await self._listen_as_task(consume)
            return
        ended: Future[None] = self._loop.create_future()
        if not self._stream.watch(partial(self._read_now, consume, ended)):
            await self._listen_as_task(consume)
            return
        try:
            await ended
        finally:
            self._stream.unwatch()
            if ended.done() and not ended.cancelled():
                ended.exception()

    async def _listen_as_task(self, consume: Callable[[list[Frame]], bool]) -> None:
        while (frames := await self.receive()) is not None:
            if not consume(frames):
                return

    def _read_now(self, consume: Callable[[list[Frame]], bool], ended: "Future[None]") -> None:
        """Receive what is there and pass it on; whether and how it is the end is said to the task that listens."""
        if ended.done():
            return
        try:
            going_on = self._receive_now(consume)
        except BaseException as error:
            # The function may have cancelled the task that listens, and with it what that awaits.
            if ended.done():
                raise
            ended.set_exception(error)
        else:
            if not going_on and not ended.done():
                ended.set_result(None)

    def _receive_now(self, consume: Callable[[list[Frame]], bool]) -> bool:
        try:
            data = self._stream.receive_nowait(max(CHUNK_BYTES, self.connection.wanted))
        except anyio.WouldBlock:
            return True
        self.last_received = self._time()
        if not data:
            self.ended = True
            self.connection.receive_eof()
            return False
        self.connection.receive_data(data)
        frames = self._frames()
        if frames and not consume(frames):
            return False
        if self.failure is not None:
            raise self.failure
        return True

    def finish(self) -> None:
        """Take nothing more; the writer ends when it has sent what is buffered."""
        self._finished = self.out.closed = True
        self._wake_writer()

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
        if self._send_some():
            await checkpoint()
            return
        data = self.out.cut(WRITE_SIZE)
        self._writing = True
        try:
            with anyio.fail_after(self._write_timeout):
                await self._stream.send(data)
        finally:
            self._writing = False
        self._sent(len(data))

    def _send_some(self) -> bool:
        """Send what the system takes at once of the next write; returns whether it took all of that."""
        buffers = self.out.take()
        size = sum(map(len, buffers))
        sent = self._stream.send_nowait(buffers[0]) if len(buffers) == 1 else self._stream.send_many_nowait(buffers)
        self._sent(sent)
        if sent == size:
            return True
        self.out.put_back(buffers, size - sent)
        return False

    def _sent(self, size: int) -> None:
        self.out.sent(size)
        self.last_sent = self._time()
        self._wake_waiting()

    def _break(self) -> None:
        self._broken = self.out.closed = True
        self.out.clear()
        self._wake_writer()
        self._wake_waiting()

    def _wake_waiting(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None
