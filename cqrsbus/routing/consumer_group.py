"""Competing consumers: each message goes to one member.

The rules:

1. The member with the fewest messages in hand gets the next one; among equals, the one who has waited
   longest for a turn. A member without credit gets none.
2. What no member can take waits in the group's queue, first in, first out, within its bounds. While anything
   waits, nothing overtakes it, but for what a member hands back unstarted: that comes first, in the order in which
   it is handed back.
3. An event subscription outside any group is a group of one.
"""

from collections import OrderedDict
from enum import StrEnum

from cqrsbus.routing.job import Job
from cqrsbus.routing.peer import Peer, Subscription


class SubscriptionKind(StrEnum):
    """What a subscription listens to; the words of the SUBSCRIBE header."""

    COMMAND = "command"
    QUERY = "query"
    EVENT = "event"


class ConsumerGroup:
    """The members that share one stream of messages, and what waits for them.

    Args:
        kind: What it consumes.
        pattern: The topic, or for events a pattern.
        name: The group's name; None for a group of one.
        owner: The one service that may join: the owner of a command. None: anybody.
    """

    __slots__ = (
        "_queue",
        "_returned",
        "held",
        "is_broadcast",
        "is_cut_off",
        "kind",
        "last_progress",
        "members",
        "name",
        "owner",
        "pattern",
        "queued_bytes",
        "turn",
        "waiting",
    )

    def __init__(
        self, kind: SubscriptionKind, pattern: str, *, name: str | None = None, owner: str | None = None
    ) -> None:
        self.kind = kind
        self.pattern = pattern
        self.name = name
        self.owner = owner
        #: Whether this is one subscriber of its own, who hears everything.
        self.is_broadcast = kind is SubscriptionKind.EVENT and name is None
        #: Its one member was told that its connection ends: nothing more is for it.
        self.is_cut_off = False
        self.members: list[Subscription] = []
        # Ordered, and any entry can leave at once: callers cancel and deadlines pass.
        self._queue: OrderedDict[Job, None] = OrderedDict()
        self._returned: OrderedDict[Job, None] = OrderedDict()
        #: Messages that wait, and their bytes.
        self.waiting = 0
        self.queued_bytes = 0
        self.turn = 0
        #: Publishers whose window is not refilled until the queue has drained.
        self.held: set[Peer] = set()
        self.last_progress = 0.0

    def next_member(self) -> Subscription | None:
        """The member whose turn it is, or None if none has credit."""
        members = self.members
        if len(members) == 1:
            return members[0] if members[0].has_credit else None
        chosen: Subscription | None = None
        for member in members:
            if member.has_credit and (
                chosen is None or (member.in_hand, member.last_turn) < (chosen.in_hand, chosen.last_turn)
            ):
                chosen = member
        return chosen

    def give(self, member: Subscription, job: Job) -> None:
        """Count a message given to a member."""
        self.turn += 1
        member.last_turn = self.turn
        member.take(job.count, job.size)

    @property
    def has_waiting(self) -> bool:
        """Whether any message waits."""
        return bool(self._queue or self._returned)

    def enqueue(self, job: Job) -> None:
        """Let a message wait behind all others."""
        self._queue[job] = None
        self._count(job)

    def enqueue_again(self, job: Job) -> None:
        """Let a message that was handed back unstarted, or the rest of a batch, wait before all that had no turn."""
        self._returned[job] = None
        self._count(job)

    def dequeue(self) -> Job:
        """Take the first message that waits."""
        job, _ = (self._returned or self._queue).popitem(last=False)
        self._discount(job)
        return job

    def drop(self, job: Job) -> None:
        """Take a message out, wherever it stands."""
        del (self._returned if job in self._returned else self._queue)[job]
        self._discount(job)

    def drop_all(self) -> list[Job]:
        """Take out everything that waits."""
        jobs = [*self._returned, *self._queue]
        self._returned.clear()
        self._queue.clear()
        self.waiting = self.queued_bytes = 0
        return jobs

    def _count(self, job: Job) -> None:
        self.waiting += job.count
        self.queued_bytes += job.size

    def _discount(self, job: Job) -> None:
        self.waiting -= job.count
        self.queued_bytes -= job.size
