"""What a broker allows its clients, and how patient it is."""

from dataclasses import dataclass, field

from cqrsbus.routing.limits import RoutingLimits
from cqrsbus.wire.frames import MAX_U16

MAX_FRAME = 16 * 1024 * 1024
#: Below this a WELCOME would not fit.
MIN_FRAME = 4096
#: Below this a HELLO with the longest names would not fit; above, the head of a frame could not say it.
MIN_HEADER = 256
MAX_HEADER = MAX_U16


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerLimits:
    """Bounds of one broker.

    Args:
        max_connections: Connections at a time; more are told TOO_MANY_CONNECTIONS.
        max_opening: Connections that have not said HELLO yet; more wait to be accepted.
        handshake_timeout: Seconds a client has to say HELLO.
        heartbeat: Seconds after which a silent side says PING; after 2.5 times that it is taken for dead.
        write_timeout: Seconds without progress after which a client is cut off.
        max_frame: Bytes of a frame, at most 16 MiB.
        max_header: Bytes of a frame's header, from 256 to 65535.
        max_outbox: Bytes that may wait to be sent to one client before it is cut off; never less than two of the
            largest frames, whatever is said here.
        drain_timeout: Seconds that open requests have to finish when the broker stops.
        routing: Bounds of queues, subscriptions, requests and windows.
    """

    max_connections: int = 1000
    max_opening: int = 64
    handshake_timeout: float = 5.0
    heartbeat: float = 5.0
    write_timeout: float = 10.0
    max_frame: int = 1024 * 1024
    max_header: int = 8 * 1024
    max_outbox: int = 8 * 1024 * 1024
    drain_timeout: float = 10.0
    routing: RoutingLimits = field(default_factory=RoutingLimits)

    def __post_init__(self) -> None:
        if not MIN_FRAME <= self.max_frame <= MAX_FRAME:
            raise ValueError(f"max_frame is {self.max_frame} bytes; it must be from {MIN_FRAME} to {MAX_FRAME}")
        if not MIN_HEADER <= self.max_header <= MAX_HEADER:
            raise ValueError(f"max_header is {self.max_header} bytes; it must be from {MIN_HEADER} to {MAX_HEADER}")
        if not self.drain_timeout >= 0:
            raise ValueError(f"drain_timeout is {self.drain_timeout}; it must be 0 or more")
        for name in (
            "max_connections", "max_opening", "max_outbox", "handshake_timeout", "heartbeat", "write_timeout",
        ):  # fmt: skip
            # Not "<= 0": what is no number at all is neither.
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be more than 0")

    @property
    def most_waiting(self) -> int:
        """Bytes that may wait to be sent to one client before it is cut off: a large frame and what follows fit in."""
        return max(self.max_outbox, 2 * self.max_frame)

    @property
    def dead_after(self) -> float:
        """Seconds of silence after which a client is taken for dead."""
        return 2.5 * self.heartbeat
