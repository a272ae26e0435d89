"""How requests should be answered and end, said the simple way.

A request is one message, or for a poll one for each instance: each of them ends once, and the poll with the last.
"""

from cqrsbus.errors import Code
from cqrsbus.routing.limits import RoutingLimits
from cqrsbus.wire.frames import Flag, Kind
from tests.routing.ledger import Ledger, Owed
from tests.routing.modelled import Client, Group, InHand, Member, Message


class RequestModel:
    """Every client and group there should be, and what becomes of requests."""

    def __init__(self, limits: RoutingLimits) -> None:
        self.limits = limits
        self.now = 0.0
        self.clients: dict[int, Client] = {}
        self.groups: list[Group] = []
        self.ledger = Ledger()

    def expect(self, client: Client, kind: int, id: int, detail: int = 0, **more: int | bytes) -> None:
        self.ledger.expect(Owed(client.number, kind, id, detail, **more))  # type: ignore[arg-type]  # by name

    def count(self, name: str, times: int = 1) -> None:
        self.ledger.counted[name] += times

    def reject(self, client: Client, request_id: int, code: int) -> None:
        """It was refused before it became a request."""
        self.count("rejected")
        self.expect(client, Kind.REJECT, request_id, code)

    # Callers.

    def open(self, *parts: Message) -> None:
        for message in parts:
            message.is_open = True
        parts[0].sender.requests[parts[0].frame.id] = list(parts)

    def poll(self, message: Message, group: Group) -> None:
        """Every member is asked; the caller is told whom first."""
        sender, frame = message.sender, message.frame
        asked = [
            (Message(message.verb, sender, message.number, frame, message.deadline, m.client), m) for m in group.members
        ]
        self.open(*(part for part, _ in asked))
        for others, (_, member) in enumerate(reversed(asked)):
            self.expect(sender, Kind.CONFIRM, frame.id, others, stamp=member.client.full_stamp)
        for part, member in asked:
            part.wants_reply = True
            if self.has_room(member, part):
                member.addressed.append(part)
            else:
                self.refuse(part, Code.QUEUE_FULL)

    def has_room(self, member: Member, message: Message) -> bool:
        if not member.addressed:
            return True
        size = sum(each.size for each in member.addressed) + message.size
        return len(member.addressed) < self.limits.max_queue_messages and size <= self.limits.max_queue_bytes

    def abandon(self, request: list[Message]) -> None:
        """Its caller has left: started work is to be told, the rest dropped."""
        del request[0].sender.requests[request[0].frame.id]
        for message in request:
            self.stop(message)
            message.is_open = False

    def stop(self, message: Message) -> None:
        if not message.is_open:
            return
        for group in self.groups:
            for waiting in [group.pending, *(member.addressed for member in group.members)]:
                if message in waiting:
                    waiting.remove(message)
        for client, delivery_id in self.hands(message):
            self.expect(client, Kind.CANCEL, delivery_id)

    def hands(self, message: Message) -> list[tuple[Client, int]]:
        """Who has it in hand, and as which delivery."""
        return [
            (client, delivery_id)
            for client in self.clients.values()
            for delivery_id, in_hand in client.deliveries.items()
            if in_hand.message is message
        ]

    def expire_requests(self) -> None:
        for client in self.clients.values():
            for request in list(client.requests.values()):
                if not request[0].has_expired(self.now):
                    continue
                self.count("expired")
                for message in request:
                    stage = b"handler" if self.hands(message) else b"queue"
                    self.stop(message)
                    if message.is_open:
                        self.fail(message, Code.DEADLINE_EXCEEDED, stage)

    # Answers.

    def answer(self, client: Client, message: Message, detail: int, body: bytes) -> None:
        """The one reply that ends it."""
        if not message.is_open:
            self.count("late_replies")
            return
        self.count("replied")
        flags, stamp = (Flag.FAILED if detail else Flag.NONE), client.stamp
        if message.asked is not None:
            flags, stamp = flags | Flag.MORE, client.full_stamp
        self.expect(message.sender, Kind.REPLY, message.frame.id, detail, flags=flags, stamp=stamp, said=body)
        self.end(message)

    def go_on(self, client: Client, in_hand: InHand, body: bytes) -> None:
        """One reply of a stream, after which more follow."""
        message = in_hand.message
        in_hand.allow(-1, -len(body))
        if not message.is_open:
            self.count("late_replies")
        elif min(message.paid) <= 0:
            self.expect(client, Kind.ERROR, 0, Code.WINDOW_EXCEEDED)
        else:
            self.count("replied")
            message.spend(len(body))
            stamp = client.stamp
            self.expect(message.sender, Kind.REPLY, message.frame.id, flags=Flag.MORE, stamp=stamp, said=body)

    def lose(self, message: Message) -> None:
        if message.wants_reply and message.is_open:
            self.refuse(message, Code.HANDLER_LOST)
        elif message.verb == Kind.SEND and not message.wants_reply:
            self.count("lost_commands")

    def refuse(self, message: Message, code: int) -> None:
        self.count("rejected")
        self.fail(message, code)

    def fail(self, message: Message, code: int, said: bytes = b"") -> None:
        sender, id = message.sender, message.frame.id
        if message.asked is None:
            self.expect(sender, Kind.REJECT, id, code, said=said)
        else:
            flags, stamp = Flag.MORE | Flag.FAILED, message.asked.full_stamp
            self.expect(sender, Kind.REPLY, id, code, flags=flags, stamp=stamp, said=said)
        self.end(message)

    def end(self, message: Message) -> None:
        message.is_open = False
        sender, id = message.sender, message.frame.id
        if not any(part.is_open for part in sender.requests[id]):
            del sender.requests[id]
            if message.asked is not None:
                self.expect(sender, Kind.REPLY, id)
