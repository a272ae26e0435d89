"""Which consumer groups there are, and who may join them.

The rules:

1. A command topic has one owner: the service whose instance registered it first. Another service is refused
   while any instance of the owner is connected.
2. A query topic may be answered by instances of any service.
3. Commands and queries have literal topics; events may be listened to by pattern.
4. Event groups are told apart by pattern and name.
5. A group lives as long as it has members. Who comes when all have left forms another, and takes what they
   hand back.
6. A subscription may say something of itself, within bounds; whoever asks for a topic is told what was said, once for
   each service that said it.
"""

from typing import Final

from cqrsbus.cause import caused_by
from cqrsbus.errors import PayloadTooLargeError, ProtocolError, QueueFullError, TopologyError
from cqrsbus.routing.consumer_group import ConsumerGroup, SubscriptionKind
from cqrsbus.routing.limits import MAX_CONTRACT, MAX_CONTRACTS, MAX_DESCRIBED, RoutingLimits
from cqrsbus.routing.peer import Peer, Subscription
from cqrsbus.routing.topic_index import TopicIndex
from cqrsbus.topics import validate_pattern, validate_topic
from cqrsbus.wire.frames import Frame
from cqrsbus.wire.header import Fields, decode_header, flag, number, refuse_unknown, text

MAX_GROUP_NAME: Final = 255

_SUBSCRIBE_FIELDS: Final = frozenset({"kind", "group", "messages", "bytes", "batches"})
_DESCRIBE_FIELDS: Final = frozenset({"kind"})


class Topology:
    """The consumer groups of one broker.

    Args:
        limits: How many subscriptions a peer may have, and with how much credit.
    """

    def __init__(self, limits: RoutingLimits) -> None:
        self._limits = limits
        self._commands: dict[bytes, ConsumerGroup] = {}
        self._queries: dict[bytes, ConsumerGroup] = {}
        self._event_groups: dict[tuple[str, str], ConsumerGroup] = {}
        self._events: TopicIndex[ConsumerGroup] = TopicIndex()

    def command_group(self, topic: bytes) -> ConsumerGroup | None:
        """The group that handles a command, if anybody does."""
        return self._commands.get(topic)

    def query_group(self, topic: bytes) -> ConsumerGroup | None:
        """The group that answers a query, if anybody does."""
        return self._queries.get(topic)

    def event_groups(self, topic: bytes) -> tuple[ConsumerGroup, ...]:
        """Every group that an event reaches.

        Raises:
            InvalidTopicError: It is not a topic.
        """
        return self._events.match(topic)

    def join(self, peer: Peer, frame: Frame) -> Subscription:
        """Carry out a SUBSCRIBE.

        Raises:
            ProtocolError: The frame is malformed or uses a channel twice.
            InvalidTopicError: The pattern is malformed, or a wildcard where none may be.
            TopologyError: The command has another owner, or this instance handles it already.
            QueueFullError: The peer has as many subscriptions as it may, or too much in hand from those it left.
            PayloadTooLargeError: The subscription, or all of the peer's, say too much of themselves.
        """
        fields = decode_header(frame.header)
        refuse_unknown(fields, _SUBSCRIBE_FIELDS)
        kind = _kind(fields)
        if frame.channel == 0 or frame.channel in peer.subscriptions:
            raise ProtocolError(f"channel {frame.channel} cannot be subscribed: it is 0 or in use")
        if len(peer.subscriptions) >= self._limits.max_subscriptions:
            raise QueueFullError(f"this connection has {len(peer.subscriptions)} subscriptions, the most it may")
        if peer.left_in_hand >= self._limits.max_credit_messages or peer.left_bytes >= self._limits.max_credit_bytes:
            raise QueueFullError(
                f"this connection has {peer.left_in_hand} messages ({peer.left_bytes} bytes) in hand from before "
                "it left their subscriptions: settle those first"
            )
        name = text(fields, "group", limit=MAX_GROUP_NAME, default="")
        messages = self._credit(fields, "messages", self._limits.max_credit_messages)
        size = self._credit(fields, "bytes", self._limits.max_credit_bytes)
        batches = flag(fields, "batches")
        contract = _contract(peer, frame)
        # Last of what may be refused: a group that is found or made has a member from here on.
        group = self._group(peer, kind, frame.topic, name)
        subscription = Subscription(
            peer,
            frame.channel,
            group,
            credit_messages=messages,
            credit_bytes=size,
            batches=batches,
            contract=contract,
        )
        group.members.append(subscription)
        peer.contracts_size += len(contract)
        peer.subscriptions[frame.channel] = subscription
        return subscription

    def leave(self, subscription: Subscription) -> ConsumerGroup:
        """Take a subscription out of its group; a group left empty is forgotten."""
        group = subscription.group
        del subscription.peer.subscriptions[subscription.channel]
        group.members.remove(subscription)
        subscription.peer.contracts_size -= len(subscription.contract)
        subscription.leave()
        if not group.members:
            self._forget(group)
        return group

    def in_place_of(self, group: ConsumerGroup) -> ConsumerGroup | None:
        """The group that takes what is handed back by a member of this one; None if nobody is there who could.

        It is the same as long as it has members. Later it is the one of those who came since: when a service is
        restarted the new instance may come while the old one, which has left already, finishes what it has begun.
        """
        if group.members:
            return group
        heir: ConsumerGroup | None
        match group.kind:
            case SubscriptionKind.COMMAND:
                heir = self._commands.get(group.pattern.encode())
            case SubscriptionKind.QUERY:
                heir = self._queries.get(group.pattern.encode())
            case SubscriptionKind.EVENT:
                heir = self._event_groups.get((group.pattern, group.name or ""))
        return heir if heir is not None and heir.owner == group.owner else None

    def described(self, frame: Frame) -> list[Subscription]:
        """Carry out a DESCRIBE: who listens to a topic, of those who say the same for one service the first.

        Raises:
            ProtocolError: The frame is malformed.
            InvalidTopicError: It is not a topic.
        """
        fields = decode_header(frame.header)
        refuse_unknown(fields, _DESCRIBE_FIELDS)
        kind = _kind(fields)
        validate_topic(frame.topic)
        found: dict[tuple[str, bytes], Subscription] = {}
        for group in self._groups(kind, frame.topic_bytes):
            for member in group.members:
                found.setdefault((member.peer.service, member.contract), member)
        return list(found.values())[:MAX_DESCRIBED]

    def _groups(self, kind: SubscriptionKind, topic: bytes) -> tuple[ConsumerGroup, ...]:
        if kind is SubscriptionKind.EVENT:
            return self.event_groups(topic)
        group = self.command_group(topic) if kind is SubscriptionKind.COMMAND else self.query_group(topic)
        return () if group is None else (group,)

    @staticmethod
    def _credit(fields: Fields, key: str, most: int) -> int:
        return min(most, number(fields, key, default=most, low=1, high=0xFFFF_FFFF))

    def _group(self, peer: Peer, kind: SubscriptionKind, pattern: str, name: str) -> ConsumerGroup:
        match kind:
            case SubscriptionKind.COMMAND:
                return self._command_group_for(peer, validate_topic(pattern))
            case SubscriptionKind.QUERY:
                group = self._queries.setdefault(validate_topic(pattern).encode(), ConsumerGroup(kind, pattern))
                return self._once_per_peer(peer, group)
            case SubscriptionKind.EVENT:
                return self._event_group(validate_pattern(pattern), name)

    def _command_group_for(self, peer: Peer, topic: str) -> ConsumerGroup:
        group = self._commands.get(topic.encode())
        if group is None:
            group = ConsumerGroup(SubscriptionKind.COMMAND, topic, owner=peer.service)
            self._commands[topic.encode()] = group
        elif group.owner != peer.service:
            raise TopologyError(
                f"the command belongs to the service {group.owner!r} (instance {group.members[0].peer.instance!r}); "
                f"the service {peer.service!r} cannot register it too. Use another topic or, if they are instances "
                "of one service, give both buses the same name",
                topic=topic,
            )
        return self._once_per_peer(peer, group)

    @staticmethod
    def _once_per_peer(peer: Peer, group: ConsumerGroup) -> ConsumerGroup:
        if any(member.peer is peer for member in group.members):
            raise TopologyError(f"this connection already handles this {group.kind}", topic=group.pattern)
        return group

    def _event_group(self, pattern: str, name: str) -> ConsumerGroup:
        if name and (pattern, name) in self._event_groups:
            return self._event_groups[pattern, name]
        group = ConsumerGroup(SubscriptionKind.EVENT, pattern, name=name or None)
        self._events.add(pattern, group)
        if name:
            self._event_groups[pattern, name] = group
        return group

    def _forget(self, group: ConsumerGroup) -> None:
        match group.kind:
            case SubscriptionKind.COMMAND:
                del self._commands[group.pattern.encode()]
            case SubscriptionKind.QUERY:
                del self._queries[group.pattern.encode()]
            case SubscriptionKind.EVENT:
                self._events.remove(group.pattern, group)
                if group.name is not None:
                    del self._event_groups[group.pattern, group.name]


def _contract(peer: Peer, frame: Frame) -> bytes:
    contract = frame.body
    if len(contract) > MAX_CONTRACT:
        raise PayloadTooLargeError(f"the subscription says {len(contract)} bytes of itself; the most is {MAX_CONTRACT}")
    if peer.contracts_size + len(contract) > MAX_CONTRACTS:
        raise PayloadTooLargeError(f"the subscriptions of a connection say at most {MAX_CONTRACTS} bytes of themselves")
    return contract


def _kind(fields: Fields) -> SubscriptionKind:
    name = text(fields, "kind", limit=16)
    try:
        return SubscriptionKind(name)
    except ValueError:
        raise caused_by(ProtocolError("header field 'kind' is not command, query or event"), None)
