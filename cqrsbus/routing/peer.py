"""Those connected, and what each listens to."""

from typing import TYPE_CHECKING, Final

from cqrsbus.wire.stamp import full_stamp_of, stamp_of

if TYPE_CHECKING:
    from cqrsbus.routing.consumer_group import ConsumerGroup
    from cqrsbus.routing.job import Delivery, Job, Poll, Request

MAX_STAMP: Final = 255


class Peer:
    """One connected client.

    Args:
        number: The broker's number for the connection; never used twice.
        service: The service it belongs to.
        instance: Which of the service's instances it is.
    """

    __slots__ = (
        "contracts_size",
        "deliveries",
        "draining",
        "held_by",
        "instance",
        "last_delivery",
        "left_bytes",
        "left_in_hand",
        "number",
        "requests",
        "service",
        "stamp",
        "subscriptions",
        "unreturned",
    )

    def __init__(self, number: int, service: str, instance: str) -> None:
        self.number = number
        self.service = service
        self.instance = instance
        self.stamp = stamp_of(service)
        if len(self.full_stamp) > MAX_STAMP:
            raise ValueError(f"the names of the service and its instance have together more than {MAX_STAMP} bytes")
        self.subscriptions: dict[int, Subscription] = {}
        #: Bytes of what its subscriptions say of themselves.
        self.contracts_size = 0
        self.requests: dict[int, Request | Poll] = {}
        self.deliveries: dict[int, Delivery] = {}
        self.last_delivery = 0
        #: Messages, and their bytes, that it was given by subscriptions which it has left, and has not settled.
        self.left_in_hand = 0
        self.left_bytes = 0
        self.draining = False
        #: Bytes of events received since its publish window was last refilled ...
        self.unreturned = 0
        #: ... which waits while any of these groups is congested.
        self.held_by: set[ConsumerGroup] = set()

    @property
    def full_stamp(self) -> bytes:
        """What is said of it where its instances are told apart."""
        return full_stamp_of(self.service, self.instance)

    def __repr__(self) -> str:
        return f"<Peer {self.number} {self.service}/{self.instance}>"


class Subscription:
    """One peer's membership of one consumer group, with what it may still be given.

    Args:
        peer: Whose it is.
        channel: The number the peer gave it.
        group: The group it is a member of.
        credit_messages: Messages it may have in hand.
        credit_bytes: Bytes it may have in hand; the last message may exceed it.
        batches: Whether it takes events outside groups, or queries, in batches.
        contract: What it says of itself, for those who ask; nobody here looks into it.
    """

    __slots__ = (
        "addressed",
        "addressed_bytes",
        "batches",
        "channel",
        "contract",
        "credit_bytes",
        "credit_messages",
        "group",
        "has_left",
        "in_hand",
        "in_hand_bytes",
        "last_turn",
        "peer",
    )

    def __init__(
        self,
        peer: Peer,
        channel: int,
        group: "ConsumerGroup",
        *,
        credit_messages: int,
        credit_bytes: int,
        batches: bool = False,
        contract: bytes = b"",
    ) -> None:
        self.peer = peer
        self.channel = channel
        self.group = group
        self.credit_messages = credit_messages
        self.credit_bytes = credit_bytes
        self.batches = batches
        self.contract = contract
        self.in_hand = 0
        self.in_hand_bytes = 0
        self.last_turn = 0
        #: Whether it has ended; what it has in hand can still be settled.
        self.has_left = False
        #: What is for this member and no other, and waits for its credit.
        self.addressed: dict[Job, None] = {}
        self.addressed_bytes = 0

    @property
    def has_credit(self) -> bool:
        """Whether it may be given one more message."""
        return self.in_hand < self.credit_messages and self.in_hand_bytes < self.credit_bytes

    @property
    def room(self) -> int:
        """How many more messages it may be given."""
        return self.credit_messages - self.in_hand

    @property
    def room_bytes(self) -> int:
        """How many more bytes, and whatever the last message exceeds them by."""
        return self.credit_bytes - self.in_hand_bytes

    def take(self, count: int, size: int) -> None:
        """Count messages given to it."""
        self.in_hand += count
        self.in_hand_bytes += size

    def give_back(self, messages: int, size: int) -> None:
        """Count messages it is done with; never below nothing, whatever a client claims."""
        if self.has_left:
            self.peer.left_in_hand -= messages
            self.peer.left_bytes -= size
        self.in_hand = max(0, self.in_hand - messages)
        self.in_hand_bytes = max(0, self.in_hand_bytes - size)

    def leave(self) -> None:
        """It has ended: what it has in hand is its peer's business."""
        # Of events outside groups nothing is kept here, and nothing is settled.
        if not self.group.is_broadcast:
            self.has_left = True
            self.peer.left_in_hand += self.in_hand
            self.peer.left_bytes += self.in_hand_bytes

    def enqueue(self, job: "Job") -> None:
        """Let a message that is for this member alone wait for its credit."""
        self.addressed[job] = None
        self.addressed_bytes += job.size

    def drop(self, job: "Job") -> None:
        """Take a message that waits for this member out."""
        del self.addressed[job]
        self.addressed_bytes -= job.size
