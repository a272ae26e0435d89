"""Frames over a byte stream, for either side of a connection.

The rules:

1. What is put is only buffered. One writer owns the sending side: either the task in :meth:`FramedStream.write`
   or, while that one has nothing to do, :meth:`FramedStream.flush_nowait`. So no frame is ever torn by a
   cancelled caller, and frames put in one go leave in one write (see send_buffer.py, and outbox.py for when).
2. The buffer's bound is the owner's policy: a broker cuts off who exceeds it, a client waits for room.
3. When the system takes no more, and then not 64 KiB (or what is left) within ``write_timeout`` seconds, that ends
   the connection.
4. Of what has come together no more is handed out in one turn of the event loop than takes some milliseconds: whoever
   says much that is dear to carry out does not keep the others waiting.
5. The end is said before it is made: what is buffered is flushed, the sending side is closed, and what the
   peer still sends is read away for a moment, so that the system does not replace our last words by a reset.
"""

from collections.abc import Callable
from functools import partial

import anyio
from anyio.lowlevel import checkpoint

from cqrsbus.errors import ProtocolError
from cqrsbus.native import asyncio_loop, clock
from cqrsbus.transports.frame_io import Consume, FrameIO
from cqrsbus.transports.outbox import Outbox
from cqrsbus.transports.port import ByteStream, Watchable
from cqrsbus.transports.send_buffer import WRITE_SIZE
from cqrsbus.wire.connection import Connection
from cqrsbus.wire.frames import Frame

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
        #: Where it runs a function at the end of its turn, no task need be woken to send, nor one to receive.
        self._loop = loop = asyncio_loop()
        self._io = FrameIO(stream, connection, clock(), None if loop is None else loop.call_soon)
        #: What waits to be sent.
        self.out: Outbox = self._io.out
        #: Sends what was put, with what else is put in this turn of the loop.
        self.flush_soon: Callable[[], None] = self.out.flush_soon
        #: Sends what the system takes at once, without a switch of tasks; the writer sends the rest.
        self.flush_nowait: Callable[[], None] = self._io.flush_nowait
        #: Bytes received since the last turn that others were given.
        self._received = 0
        self._finished = False

    @property
    def buffered(self) -> int:
        """Bytes that wait to be sent."""
        return self.out.size

    @property
    def peer(self) -> str:
        """The other end, for messages."""
        return self._stream.peer

    @property
    def failure(self) -> ProtocolError | None:
        """How the peer broke the protocol, right behind the frames that were received last."""
        return self._io.failure

    @property
    def ended(self) -> bool:
        """Whether the peer has ended the stream, be it in the middle of a frame."""
        return self._io.ended

    @property
    def last_sent(self) -> float:
        """When something was last sent, on anyio's clock."""
        return self._io.last_sent

    @property
    def last_received(self) -> float:
        """When something was last received, on anyio's clock."""
        return self._io.last_received

    def put(self, frame: Frame) -> None:
        """Buffer a frame; call :meth:`flush_soon` or :meth:`flush_nowait` when done putting."""
        self.out.put(frame)

    def put_bytes(self, data: bytes) -> None:
        """Buffer bytes that are no frame: the preamble, or an answer in another protocol."""
        self.out.put_bytes(data)

    async def wait_room(self, limit: int) -> None:
        """Wait until fewer than ``limit`` bytes are buffered, or the connection is over."""
        io = self._io
        while self.buffered >= limit and not self.out.closed:
            self.flush_soon()
            if io.room is None:
                io.room = anyio.Event()
            await io.room.wait()

    async def write(self) -> None:
        """Send what is put, until :meth:`finish` is called and everything is sent.

        Raises:
            anyio.BrokenResourceError: The peer is gone, or :meth:`close` was called meanwhile.
            anyio.ClosedResourceError: The stream was closed on our side in the middle of a write.
            TimeoutError: The peer takes nothing any more.
        """
        io = self._io
        try:
            while True:
                if io.broken:
                    raise anyio.BrokenResourceError
                if self._loop is None and self.out.put_off():
                    await checkpoint()
                    continue
                self.out.end_batch()
                if self.out.chunks:
                    await self._write_some()
                elif self._finished:
                    return
                else:
                    io.wake = anyio.Event()
                    await io.wake.wait()
        finally:
            io.give_up()

    async def receive(self) -> list[Frame] | None:
        """Wait for frames; None is the end of the stream.

        Raises:
            ProtocolError: The peer broke the protocol; frames before that were returned first.
            anyio.BrokenResourceError: The peer is gone.
            anyio.ClosedResourceError: The stream was closed on our side.
        """
        io = self._io
        while io.failure is None:
            if self._received >= BYTES_PER_TURN:
                self._received = 0
                await checkpoint()
            data = await self._stream.receive(io.wanted)
            self._received += len(data)
            frames = io.take(data)
            if io.ended:
                return None
            if frames:
                return frames
        raise io.failure

    async def listen(self, consume: Consume) -> None:
        """Give frames to a function as they come, until it returns False or the stream ends.

        Where the event loop watches the stream, the function is called in its own turn, and no task is woken. So it
        must not wait, nor look at the task that runs it, nor ask anyio for the time.

        Args:
            consume: Takes the frames, or some of them, and says whether to go on.

        Raises:
            Exception: What the function raised, and what :meth:`receive` raises.
        """
        if self._loop is None or self.failure is not None or not isinstance(self._stream, Watchable):
            await self._listen_as_task(consume)
            return
        ended = self._loop.create_future()
        if not self._stream.watch(partial(self._io.read_now, consume, ended)):
            await self._listen_as_task(consume)
            return
        self._io.resume(consume, ended)
        try:
            await ended
        finally:
            self._stream.unwatch()
            if ended.done() and not ended.cancelled():
                ended.exception()

    async def _listen_as_task(self, consume: Consume) -> None:
        io = self._io
        while True:
            if io.rest:
                await checkpoint()
            frames = io.rest or await self.receive()
            if frames is None or not io.give(frames, consume):
                return

    def finish(self) -> None:
        """Take nothing more; the writer ends when it has sent what is buffered."""
        self._finished = self.out.closed = True
        self._io.wake_writer()

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
        self._io.give_up()
        self._stream.close()

    async def _write_some(self) -> None:
        io = self._io
        if io.send_some():
            await checkpoint()
            return
        data = self.out.cut(WRITE_SIZE)
        io.writing = True
        try:
            with anyio.fail_after(self._write_timeout):
                await self._stream.send(data)
        finally:
            io.writing = False
        io.sent(len(data))
