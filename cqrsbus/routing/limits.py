"""What one broker allows, so that nothing grows without bound."""

from dataclasses import dataclass
from typing import Final

from cqrsbus.wire.frames import MAX_U16, MAX_U32

#: Bytes that a subscription may say of itself, and all those of a connection; the protocol's own bounds.
MAX_CONTRACT: Final = 16 * 1024
MAX_CONTRACTS: Final = 256 * 1024
#: So many different ones are told of one topic.
MAX_DESCRIBED: Final = 256

#: Credit is told in the head of a CONFIRM: that bounds it too.
_MOST: Final = {
    "max_subscriptions": MAX_U32,
    "max_open_requests": MAX_U32,
    "max_credit_messages": MAX_U16,
    "max_credit_bytes": MAX_U32,
    "max_queue_messages": MAX_U32,
    "max_queue_bytes": MAX_U32,
    "publish_window": MAX_U32,
    "stall_timeout": float("inf"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingLimits:
    """Bounds on what the router keeps; each is told to clients in the welcome or in the refusal.

    Args:
        max_subscriptions: Subscriptions per connection.
        max_open_requests: Asks and unconfirmed sends per connection.
        max_credit_messages: Messages a subscription may have in hand.
        max_credit_bytes: Bytes a subscription may have in hand.
        max_queue_messages: Messages that wait for one consumer group.
        max_queue_bytes: Bytes that wait for one consumer group.
        publish_window: Bytes of events a publisher may have under way before it waits for the broker.
        stall_timeout: Seconds that a full group may stand still before it is given up.
    """

    max_subscriptions: int = 1024
    max_open_requests: int = 1024
    max_credit_messages: int = 1024
    max_credit_bytes: int = 4 * 1024 * 1024
    max_queue_messages: int = 100_000
    max_queue_bytes: int = 8 * 1024 * 1024
    publish_window: int = 1024 * 1024
    stall_timeout: float = 10.0

    def __post_init__(self) -> None:
        for name, most in _MOST.items():
            value = getattr(self, name)
            if not 0 < value <= most:
                raise ValueError(f"{name} is {value}; it must be more than 0 and at most {most}")

    @property
    def congested_bytes(self) -> int:
        """From how many waiting bytes on a group holds its publishers back."""
        return max(1, self.max_queue_bytes // 2)

    @property
    def congested_messages(self) -> int:
        """From how many waiting messages on a group holds its publishers back."""
        return max(1, self.max_queue_messages // 2)
