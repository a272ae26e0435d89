"""What the model keeps: messages, groups, members and clients, in lists that are looked through."""

from dataclasses import dataclass, field

from cqrsbus.wire.frames import MAX_U16, MAX_U32, Flag, Frame, Kind
from cqrsbus.wire.stamp import full_stamp_of, stamp_of


@dataclass(eq=False)
class Message:
    """A message that was sent, and what its caller waits for; of a poll, what one instance is asked."""

    verb: int
    sender: "Client"
    number: int
    frame: Frame
    deadline: float | None
    #: The one client that it is for, if every instance is asked.
    asked: "Client | None" = None
    wants_reply: bool = False
    #: The caller waits: for an answer, or for the confirmation.
    is_open: bool = False
    confirmed: bool = False
    #: It has been handed back, and waits before those that have not.
    returned: bool = False
    #: Replies and bytes that its caller has paid for and nobody has answered.
    paid: tuple[int, int] = (0, 0)
    #: Something has been answered.
    begun: bool = False

    @property
    def is_stream(self) -> bool:
        return self.verb == Kind.ASK and bool(self.frame.flags & Flag.STREAM)

    @property
    def size(self) -> int:
        return len(self.frame.tail)

    def has_expired(self, now: float) -> bool:
        return self.deadline is not None and self.deadline <= now

    def pay(self, items: int, size: int) -> bool:
        """Allow more of a stream; returns whether a head could still say all that is allowed."""
        self.paid = self.paid[0] + items, self.paid[1] + size
        return self.paid[0] <= MAX_U16 and self.paid[1] <= MAX_U32

    def spend(self, size: int) -> None:
        self.begun, self.paid = True, (self.paid[0] - 1, self.paid[1] - size)


@dataclass(eq=False)
class Group:
    """Members that share messages."""

    kind: str
    pattern: str
    name: str
    members: list["Member"] = field(default_factory=list)
    pending: list[Message] = field(default_factory=list)
    held: set[int] = field(default_factory=set)
    last_progress: float = 0.0
    was_handed_back: bool = False

    @property
    def is_broadcast(self) -> bool:
        return self.kind == "event" and not self.name

    def skip_expired(self, now: float) -> list[Message]:
        """Take those out that are first in line and too late."""
        skipped = list[Message]()
        while self.pending and self.pending[0].has_expired(now):
            skipped.append(self.pending.pop(0))
            self.last_progress = now
        return skipped


@dataclass(eq=False)
class Member:
    """One client's subscription."""

    client: "Client"
    channel: int
    group: Group
    credit_messages: int
    credit_bytes: int
    #: Whether it takes events, or queries, in batches.
    batches: bool = False
    #: Sizes of what it has in hand.
    in_hand: list[int] = field(default_factory=list)
    #: What waits for this very member.
    addressed: list[Message] = field(default_factory=list)
    last_turn: int = 0
    #: The last message of each publisher that was delivered here.
    last_of: dict[int, int] = field(default_factory=dict)

    @property
    def has_credit(self) -> bool:
        return len(self.in_hand) < self.credit_messages and sum(self.in_hand) < self.credit_bytes

    def skip_expired(self, now: float) -> None:
        while self.addressed and self.addressed[0].has_expired(now):
            self.addressed.pop(0)


class Credit:
    """What the members of a group could be given now, in the order in which they would be."""

    def __init__(self, group: Group) -> None:
        self._members = [
            Member(
                m.client, 0, group, m.credit_messages, m.credit_bytes, in_hand=list(m.in_hand), last_turn=m.last_turn
            )
            for m in group.members
        ]
        self._turn = max((m.last_turn for m in group.members), default=0)

    def take(self, size: int) -> bool:
        """Give one more message of this size to whose turn it is; returns whether anybody has credit."""
        able = [member for member in self._members if member.has_credit]
        if not able:
            return False
        chosen = min(able, key=lambda member: (len(member.in_hand), member.last_turn))
        self._turn += 1
        chosen.last_turn = self._turn
        chosen.in_hand.append(size)
        return True


@dataclass(eq=False)
class InHand:
    """A delivery, as the one who must settle it sees it."""

    message: Message
    member: Member
    #: Replies and bytes that it has been told it may still answer with.
    allowed: tuple[int, int] = (0, 0)

    def allow(self, items: int, size: int) -> None:
        self.allowed = self.allowed[0] + items, self.allowed[1] + size


@dataclass(eq=False)
class Client:
    """One connection as its owner sees it."""

    number: int
    service: str
    members: dict[int, Member] = field(default_factory=dict)
    deliveries: dict[int, InHand] = field(default_factory=dict)
    settled: list[int] = field(default_factory=list)
    #: What each of its requests became: one message, or one for each instance.
    requests: dict[int, list[Message]] = field(default_factory=dict)
    next_id: int = 1
    next_channel: int = 1
    unreturned: int = 0
    draining: bool = False

    @property
    def instance(self) -> str:
        return f"{self.service}-{self.number}"

    @property
    def stamp(self) -> bytes:
        return stamp_of(self.service)

    @property
    def full_stamp(self) -> bytes:
        return full_stamp_of(self.service, self.instance)

    def number_request(self) -> int:
        self.next_id += 1
        return self.next_id - 1
