"""What the router counts, so that nothing disappears unseen."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Totals since the broker started, in messages.

    Args:
        sent: SEND frames received.
        asked: ASK frames received.
        published: PUBLISH frames received.
        delivered: DELIVER frames emitted.
        replied: Replies that reached their caller.
        rejected: Requests refused.
        expired: Requests whose deadline passed, and events that were no longer worth starting when their turn came.
        cancelled: Requests whose caller left, or lost its connection.
        late_replies: Replies to nobody: the caller had its answer, gave up, or left.
        stale_settlements: ACKs and NACKs for deliveries already settled.
        dropped_events: Events dropped because a queue was full or stood still: those that waited, and those that came.
        lost_commands: Commands in the hands of a handler whose connection was lost.
    """

    sent: int = 0
    asked: int = 0
    published: int = 0
    delivered: int = 0
    replied: int = 0
    rejected: int = 0
    expired: int = 0
    cancelled: int = 0
    late_replies: int = 0
    stale_settlements: int = 0
    dropped_events: int = 0
    lost_commands: int = 0
