"""When what waits to be sent is sent: together with what else is put in the same turn of the event loop.

While every turn brings more, that is put off by a few turns: whoever is busy sends less often. What is enough for one
write is sent at once: were everything sent together, its receiver would have nothing to do until then. Nothing here
waits.
"""

from collections.abc import Callable
from typing import Any, Final

from cqrsbus.transports.send_buffer import WRITE_SIZE, SendBuffer
from cqrsbus.wire.frames import Frame
from cqrsbus.wire.origin import Origin

#: So many frames are worth a write of their own; fewer than the least are not.
FRAMES_AT_ONCE: Final = 64
LEAST_AT_ONCE: Final = 16
#: So many turns of the loop may bring more before what is buffered is sent, unless it is this much.
TURNS_PUT_OFF: Final = 4
ENOUGH_BUFFERED: Final = 2 * WRITE_SIZE
#: Bytes from which on whoever can wait for room is to do so before it puts more.
SEND_BUFFER: Final = 1024 * 1024


class Outbox(SendBuffer):
    """A send buffer that sees to it that what is put is sent.

    Args:
        flush_nowait: Sends what the system takes at once.
        wake_writer: Lets a task send it all.
        call_soon: Runs a function at the end of the event loop's turn, where there is such a thing.
    """

    __slots__ = ("_call_soon", "_flush_due", "_put_off", "_seen", "_wake_writer", "flush_nowait")

    def __init__(
        self,
        flush_nowait: Callable[[], None],
        wake_writer: Callable[[], None],
        call_soon: Callable[[Callable[[], None]], Any] | None,
    ) -> None:
        super().__init__()
        #: Sends what the system takes at once.
        self.flush_nowait = flush_nowait
        self._wake_writer = wake_writer
        self._call_soon = call_soon
        #: Whether one of these is to look; what waited when it last did; and how often it was put off.
        self._flush_due = False
        self._seen = 0
        self._put_off = 0

    def has_room(self) -> bool:
        """Whether more may be put by who can wait; there is room, too, when nothing is taken any more."""
        return self.size < SEND_BUFFER

    def put_soon(self, frame: Frame) -> None:
        """Add a frame, to be sent soon."""
        self.put(frame)
        self.flush_soon()

    def put_portion(self, frame: Frame, enough: int) -> None:
        """Add a frame of several that are put one after the other; when so many wait, they are sent.

        For who knows how many there will be: what is sent first is worked on while the rest is put.

        Args:
            frame: The frame.
            enough: How many frames make a portion; see :data:`LEAST_AT_ONCE`.
        """
        self.put(frame)
        if LEAST_AT_ONCE <= len(self.chunks) >= enough:
            self.flush_nowait()
        else:
            self.flush_soon()

    def ask(self, topic: str, origin: Origin, number: int, body: bytes, id: int, ttl: int, enough: int) -> None:
        """Add a query, to be sent soon, and perhaps with others.

        Args:
            topic: Where it goes.
            origin: What it says of itself, but for its number.
            number: Its number.
            body: The encoded query.
            id: The request's number.
            ttl: Milliseconds to answer it; 0 is no limit.
            enough: See :meth:`put_portion`; 0 sends it now.
        """
        self.put_query(topic, origin, number, body, id, ttl)
        if not enough or LEAST_AT_ONCE <= self.waiting >= min(enough, FRAMES_AT_ONCE):
            self.flush_nowait()
        else:
            self.flush_soon()

    def answer(self, id: int, header: bytes, body: bytes, now: bool) -> None:
        """Add an answer to what was delivered in a batch, to be sent soon, and perhaps with others.

        Args:
            id: The delivery's number.
            header: What it says of itself.
            body: The encoded answer.
            now: Whether it and what is buffered are sent now; see :meth:`put_now`.
        """
        self.put_answer(id, header, body)
        if now or self.waiting >= FRAMES_AT_ONCE:
            self.flush_nowait()
        else:
            self.flush_soon()

    def put_now(self, frame: Frame) -> None:
        """Send a frame and what is buffered at once, not with all that is put until the next turn of the event loop.

        For who is about to wait for the answer and knows of nobody else: it saves a switch of tasks.
        """
        self.put(frame)
        self.flush_nowait()

    def publish(self, topic: str, origin: Origin, number: int, body: bytes) -> None:
        """Add an event, to be sent soon, and perhaps with others.

        Args:
            topic: Where it goes.
            origin: What it says of itself, but for its number.
            number: Its number.
            body: The encoded event.
        """
        if self.put_event(topic, origin, number, body):
            self.flush_soon()

    def flush_soon(self) -> None:
        """Send what waits at the end of this turn of the loop, together with what else is put until then."""
        if self._call_soon is not None and len(self.chunks) >= FRAMES_AT_ONCE:
            self.flush_nowait()
        elif not self._flush_due:
            self._flush_due, self._seen, self._put_off = True, self.size, 0
            if self._call_soon is None:
                self._wake_writer()
            else:
                self._call_soon(self._end_turn)

    def put_off(self) -> bool:
        """Whether to look again in the next turn before anything is sent: each one so far has brought more."""
        if self._flush_due and self._seen < self.size < ENOUGH_BUFFERED and self._put_off < TURNS_PUT_OFF:
            self._seen = self.size
            self._put_off += 1
            return True
        self._flush_due = False
        return False

    def _end_turn(self) -> None:
        if self._call_soon is not None and self.put_off():
            self._call_soon(self._end_turn)
        else:
            self.flush_nowait()
