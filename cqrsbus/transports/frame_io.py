"""What of sending and receiving frames is done at once; what waits is in framed.py, with the rules for all of it."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio

from cqrsbus.errors import ProtocolError
from cqrsbus.transports.outbox import Outbox
from cqrsbus.transports.port import ByteStream
from cqrsbus.transports.read_size import ReadSize
from cqrsbus.wire.connection import Connection
from cqrsbus.wire.frames import Frame

if TYPE_CHECKING:
    from asyncio import Future  # noqa: TID251  # only its type

Consume = Callable[[list[Frame]], bool]

#: After so many seconds the other tasks get a turn, though more has come; that is looked at after so many frames.
SECONDS_PER_TURN: Final = 0.01
FRAMES_PER_LOOK: Final = 16


class FrameIO:
    """Frames over a stream, as far as nothing waits.

    Args:
        stream: The bytes.
        connection: The protocol's state for our side.
        time: Tells the time on anyio's clock.
        call_soon: Runs a function at the end of the event loop's turn, where there is such a thing.
    """

    __slots__ = (
        "_call_soon",
        "_read_size",
        "_receive_nowait",
        "_send_many_nowait",
        "_send_nowait",
        "_time",
        "broken",
        "connection",
        "ended",
        "failure",
        "last_received",
        "last_sent",
        "out",
        "rest",
        "room",
        "wake",
        "writing",
    )

    def __init__(
        self,
        stream: ByteStream,
        connection: Connection,
        time: Callable[[], float],
        call_soon: Callable[[Callable[[], None]], Any] | None,
    ) -> None:
        # Looked up once, and not for each read and write.
        self._receive_nowait = stream.receive_nowait
        self._send_nowait = stream.send_nowait
        self._send_many_nowait = stream.send_many_nowait
        self.connection = connection
        self._time = time
        self._call_soon = call_soon
        self._read_size = ReadSize()
        #: What waits to be sent.
        self.out = Outbox(self.flush_nowait, self.wake_writer, call_soon)
        #: What the writer waits for, and who waits for room; None while nobody does.
        self.wake: anyio.Event | None = None
        self.room: anyio.Event | None = None
        #: Whether the writer is at it: nobody else may send meanwhile.
        self.writing = False
        #: Whether nothing can be sent any more.
        self.broken = False
        #: How the peer broke the protocol, right behind the frames that were received last.
        self.failure: ProtocolError | None = None
        #: Whether the peer has ended the stream, be it in the middle of a frame.
        self.ended = False
        #: Frames that were received and put off, so that others have their turn.
        self.rest: list[Frame] = []
        #: When something was sent, and received, on anyio's clock.
        self.last_sent = self.last_received = time()

    # Sending.

    def flush_nowait(self) -> None:
        """Send what the system takes at once, without a switch of tasks; the writer sends the rest."""
        if self.writing or self.broken:
            return
        out = self.out
        out.end_batch()
        try:
            while out.chunks and self.send_some():
                pass
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            self.give_up()
        if out.chunks:
            self.wake_writer()

    def send_some(self) -> bool:
        """Send what the system takes at once of the next write; returns whether it took all of that."""
        buffers = self.out.take()
        if len(buffers) == 1:
            first = buffers[0]
            size = len(first)
            sent = self._send_nowait(first)
        else:
            size = 0
            for data in buffers:
                size += len(data)
            sent = self._send_many_nowait(buffers)
        self.sent(sent)
        if sent == size:
            return True
        self.out.put_back(buffers, size - sent)
        return False

    def sent(self, size: int) -> None:
        """So many bytes were sent."""
        self.out.sent(size)
        self.last_sent = self._time()
        self._wake_waiting()

    def give_up(self) -> None:
        """Send nothing more."""
        self.broken = self.out.closed = True
        self.out.clear()
        self.wake_writer()
        self._wake_waiting()

    def wake_writer(self) -> None:
        """Let the writer look what there is to send."""
        wake, self.wake = self.wake, None
        if wake is not None:
            wake.set()

    def _wake_waiting(self) -> None:
        room, self.room = self.room, None
        if room is not None:
            room.set()

    # Receiving.

    @property
    def wanted(self) -> int:
        """How many bytes the next read is to ask for."""
        return max(self._read_size.size, self.connection.wanted)

    def take(self, data: bytes) -> list[Frame]:
        """Take what was received: the frames that are whole with it. Without data it is the end.

        Raises:
            ProtocolError: The peer ended the stream in the middle of a frame.
        """
        self.last_received = self._time()
        frames: list[Frame] = []
        if not data:
            self.ended = True
            self.connection.receive_eof()
            return frames
        self._read_size.received(len(data))
        self.connection.receive_data(data)
        try:
            self.connection.read_frames(frames)
        except ProtocolError as error:
            self.failure = error
        return frames

    def give(self, frames: list[Frame], consume: Consume) -> bool:
        """Give frames to a function, until that has taken so long that others are to have their turn; see :attr:`rest`.

        Args:
            frames: What was received, or what was put off.
            consume: Takes some of them, and says whether to go on.

        Returns:
            Whether to go on.
        """
        self.rest = []
        if len(frames) <= FRAMES_PER_LOOK:
            return consume(frames)
        enough, start, going_on = self._time() + SECONDS_PER_TURN, 0, True
        while going_on and start < len(frames) and (not start or self._time() < enough):
            going_on = consume(frames[start : start + FRAMES_PER_LOOK])
            start += FRAMES_PER_LOOK
        self.rest = frames[start:]
        return going_on

    def read_now(self, consume: Consume, ended: "Future[None]") -> None:
        """Receive what is there and pass it on; whether and how it is the end is said to the task that listens."""
        # What was put off comes first, in a turn of its own.
        if not self.rest:
            self._run_until_ended(self._receive_now, consume, ended)

    def resume(self, consume: Consume, ended: "Future[None]") -> None:
        """Give what was put off in the next turn, if there is something."""
        if self.rest and self._call_soon is not None:
            self._call_soon(partial(self._run_until_ended, self._give_rest, consume, ended))

    def _run_until_ended(self, work: Callable[[Consume], bool], consume: Consume, ended: "Future[None]") -> None:
        if ended.done():
            return
        try:
            going_on = work(consume)
        except BaseException as error:
            # The function may have cancelled the task that listens, and with it what that awaits.
            if ended.done():
                raise
            ended.set_exception(error)
        else:
            if ended.done():
                return
            if going_on:
                self.resume(consume, ended)
            else:
                ended.set_result(None)

    def _receive_now(self, consume: Consume) -> bool:
        try:
            data = self._receive_nowait(self.wanted)
        except anyio.WouldBlock:
            return True
        frames = self.take(data)
        return not self.ended and self._pass_on(frames, consume)

    def _give_rest(self, consume: Consume) -> bool:
        return self._pass_on(self.rest, consume)

    def _pass_on(self, frames: list[Frame], consume: Consume) -> bool:
        if frames and not self.give(frames, consume):
            return False
        if self.failure is not None and not self.rest:
            raise self.failure
        return True
