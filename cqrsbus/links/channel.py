"""A channel: one connection to a broker, as frames. It lives once; a link opens a new one after a loss."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cqrsbus.errors import ProtocolError
from cqrsbus.transports.outbox import Outbox
from cqrsbus.wire.frames import MAX_U32, Frame
from cqrsbus.wire.header import decode_header
from cqrsbus.wire.origin import Origin

#: With less, looking after the heartbeat would be all there is time for.
MIN_HEARTBEAT = 0.01


@dataclass(frozen=True, slots=True)
class Terms:
    """What the broker said in its WELCOME.

    Args:
        heartbeat: Seconds after which a silent side says PING; 0 where silence means nothing.
        max_frame: Bytes of a frame.
        max_header: Bytes of a frame's header.
        publish_window: Bytes of events that may be under way.
        max_open_requests: Calls that may wait for an answer.
    """

    heartbeat: float
    max_frame: int
    max_header: int
    publish_window: int
    max_open_requests: int

    @classmethod
    def of(cls, welcome: Frame) -> "Terms":
        """Read a WELCOME; what a later version may have added is passed over.

        Raises:
            ProtocolError: BAD_FRAME, a field is missing or of the wrong type.
        """
        fields = decode_header(welcome.header)
        numbers: dict[str, float] = {}
        for name in ("heartbeat", "max_frame", "max_header", "publish_window", "max_open_requests"):
            value = fields.get(name)
            if not isinstance(value, int | float) or not 0 <= value <= MAX_U32:
                raise ProtocolError(f"the welcome's {name!r} is missing or no number")
            numbers[name] = value
        if 0 < numbers["heartbeat"] < MIN_HEARTBEAT:
            raise ProtocolError(f"the welcome's 'heartbeat' is less than {MIN_HEARTBEAT:g} s")
        return cls(
            numbers["heartbeat"],
            int(numbers["max_frame"]),
            int(numbers["max_header"]),
            int(numbers["publish_window"]),
            int(numbers["max_open_requests"]),
        )


class Channel(Protocol):
    """One connection to a broker."""

    @property
    def terms(self) -> Terms:
        """What the broker allows."""
        ...

    @property
    def outbox(self) -> Outbox | None:
        """Where what is put waits to be sent; None if it does not wait.

        Its methods are the same as those here, and take less time.
        """
        ...

    @property
    def last_received(self) -> float: ...

    @property
    def last_sent(self) -> float: ...

    def put(self, frame: Frame, /) -> None:
        """Buffer a frame to be sent; never waits, does nothing once the channel is over."""
        ...

    def publish(self, topic: str, origin: Origin, number: int, body: bytes, /) -> None:
        """Buffer an event to be published: :meth:`put` for the usual case, which may join it with others.

        Args:
            topic: Where it goes.
            origin: What it says of itself, but for its number.
            number: Its number.
            body: The encoded event.
        """
        ...

    def ask(self, topic: str, origin: Origin, number: int, body: bytes, id: int, ttl: int, enough: int, /) -> None:
        """Buffer a query: :meth:`put_portion` for the usual case, which may join it with others.

        Args:
            topic: Where it goes.
            origin: What it says of itself, but for its number.
            number: Its number.
            body: The encoded query.
            id: The request's number.
            ttl: Milliseconds to answer it; 0 is no limit.
            enough: See :meth:`put_portion`; 0 sends it now.
        """
        ...

    def answer(self, id: int, header: bytes, body: bytes, now: bool, /) -> None:
        """Buffer an answer to what was delivered in a batch: it may be joined with others.

        Args:
            id: The delivery's number.
            header: What it says of itself.
            body: The encoded answer.
            now: Whether it and what is buffered are sent now; see :meth:`put_now`.
        """
        ...

    def put_portion(self, frame: Frame, enough: int, /) -> None:
        """Buffer a frame of several that are put one after the other; when so many wait, they are sent.

        For who knows how many there will be: what is sent first is worked on while the rest is put.

        Args:
            frame: The frame.
            enough: How many frames make a portion; a few are not sent for that.
        """
        ...

    def put_now(self, frame: Frame, /) -> None:
        """Send a frame and what is buffered now, not with all that is put until the next turn of the event loop.

        For who is about to wait for the answer and knows of nobody else: it saves a switch of tasks.
        """
        ...

    def has_room(self) -> bool:
        """Whether the send buffer has room, or the channel is over."""
        ...

    async def wait_room(self) -> None:
        """Wait until the send buffer has room, or the channel is over."""
        ...

    async def listen(self, consume: Callable[[list[Frame]], bool]) -> None:
        """Give frames to a function as they come, until it returns False or the connection ends.

        Args:
            consume: Takes frames that came together. It must not wait, nor count on a task that runs it.

        Raises:
            ConnectionLostError: The connection broke.
            ProtocolError: The broker broke the protocol.
        """
        ...

    async def run(self) -> None:
        """Send what is put, until finished; returns early when the connection breaks.

        Raises:
            TimeoutError: The broker takes nothing any more.
        """
        ...

    def close(self) -> None:
        """Close at once."""
        ...
