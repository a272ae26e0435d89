"""A channel: one connection to a broker, as frames. It lives once; a link opens a new one after a loss."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from cqrsbus.errors import ProtocolError
from cqrsbus.links.unbuffered_outbox import UnbufferedOutbox
from cqrsbus.transports.outbox import Outbox
from cqrsbus.wire.frames import MAX_U32, Frame
from cqrsbus.wire.header import decode_header

#: With less, looking after the heartbeat would be all there is time for.
MIN_HEARTBEAT = 0.01

#: Where what is to be sent is put. Two classes are named, for what is compiled, as in deliveries.py.
AnyOutbox: TypeAlias = Outbox | UnbufferedOutbox


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
    def outbox(self) -> AnyOutbox:
        """Where messages are put: what is there may be joined with others, and is sent when that is best."""
        ...

    @property
    def last_received(self) -> float: ...

    @property
    def last_sent(self) -> float: ...

    def put(self, frame: Frame, /) -> None:
        """Buffer a frame to be sent; never waits, does nothing once the channel is over."""
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
