"""What the router should do, said the simple way: lists where it has tables, and every rule checked by looking.

The model predicts every answer, refusal, cancellation and end; what is delivered to whom it checks when it sees
it, against the rules: what is for this very member, or else the first that waits, to the least busy member with
credit, whose turn it is.
"""

from cqrsbus.errors import Code
from cqrsbus.routing.limits import RoutingLimits
from cqrsbus.topics import matches
from cqrsbus.wire.batch import answers, singles
from cqrsbus.wire.frames import Flag, Frame, Kind
from tests.routing.model_requests import RequestModel
from tests.routing.modelled import Client, Credit, Group, InHand, Member, Message


class Model(RequestModel):
    """Who listens, what waits, and what is delivered."""

    def __init__(self, limits: RoutingLimits) -> None:
        super().__init__(limits)
        self.turn = 0
        #: Whose window was returned in this step.
        self.refilled: set[int] = set()
        #: Every delivery that is not handed back.
        self.delivered: set[tuple[Message, Group]] = set()

    # What the clients do.

    def find_group(self, kind: str, topic: str) -> Group | None:
        return next((group for group in self.groups if (group.kind, group.pattern) == (kind, topic)), None)

    def groups_of_event(self, topic: str) -> list[Group]:
        return [group for group in self.groups if group.kind == "event" and matches(group.pattern, topic)]

    def join(self, client: Client, member: Member) -> None:
        if member.group not in self.groups:
            self.groups.append(member.group)
        member.group.members.append(member)
        client.members[member.channel] = member

    def leave(self, members: list[Member]) -> None:
        for member in members:
            del member.client.members[member.channel]
            member.group.members.remove(member)
        for member in members:
            for message in member.addressed:
                if message.is_open:
                    self.lose(message)
            member.addressed.clear()
        for group in {id(member.group): member.group for member in members}.values():
            if not group.members:
                self.leave_alone(group)

    def leave_alone(self, group: Group) -> None:
        self.groups.remove(group)
        for message in group.pending:
            if message.verb == Kind.SEND and message.confirmed:
                self.count("lost_commands")
            elif message.is_open:
                self.refuse(message, Code.NO_HANDLER)
        group.pending.clear()
        group.held.clear()

    def offer(self, group: Group, message: Message) -> bool:
        """Let a message wait, to be seen delivered; returns whether there is room for it."""
        if any(member.has_credit for member in group.members) and not group.pending:
            group.pending.append(message)
            return True
        if group.pending and self.is_full(group.pending, message):
            return False
        group.pending.append(message)
        return True

    def publish(self, message: Message, groups: list[Group]) -> None:
        for group in groups:
            will_wait = bool(group.pending) or not any(member.has_credit for member in group.members)
            if self.offer(group, message):
                pass
            elif group.is_broadcast:
                self.count("dropped_events")
                self.cut_off(group)
            else:
                self.count("dropped_events")
            if will_wait and self.is_congested(group, 1):
                if not group.held:
                    group.last_progress = self.now
                group.held.add(message.sender.number)

    def publish_batch(self, messages: list[Message], groups: list[Group]) -> None:
        """The same as each of them by itself, but that all is given when all has been looked at."""
        for group in groups:
            credit, waiting = Credit(group), list(group.pending)
            for place, message in enumerate(messages):
                if not waiting and credit.take(message.size):
                    group.pending.append(message)
                elif waiting and self.is_full(waiting, message):
                    if group.is_broadcast:
                        self.count("dropped_events", len(messages) - place)
                        self.cut_off(group, waiting)
                        waiting = []
                        break
                    self.count("dropped_events")
                else:
                    waiting.append(message)
                    group.pending.append(message)
            if waiting and self.are_congested(waiting, 1):
                if not group.held:
                    group.last_progress = self.now
                group.held.add(messages[0].sender.number)

    def ask_batch(self, messages: list[Message], group: Group) -> None:
        """The same as each of them by itself, but that all is given when all has been looked at."""
        credit, waiting = Credit(group), list(group.pending)
        for message in messages:
            client, request_id = message.sender, message.frame.id
            if len(client.requests) >= self.limits.max_open_requests:
                self.reject(client, request_id, Code.QUEUE_FULL)
                continue
            if waiting or not credit.take(message.size):
                if waiting and self.is_full(waiting, message):
                    self.reject(client, request_id, Code.QUEUE_FULL)
                    continue
                waiting.append(message)
            group.pending.append(message)
            self.open(message)

    def cut_off(self, group: Group, waiting: list[Message] | None = None) -> None:
        waiting = group.pending if waiting is None else waiting
        self.count("dropped_events", len(waiting))
        group.pending[:] = [message for message in group.pending if message not in waiting]
        self.expect(group.members[0].client, Kind.ERROR, 0, Code.SLOW_CONSUMER)

    def is_full(self, waiting: list[Message], message: Message) -> bool:
        size = sum(each.size for each in waiting) + message.size
        return len(waiting) >= self.limits.max_queue_messages or size > self.limits.max_queue_bytes

    def is_congested(self, group: Group, share: int) -> bool:
        return self.are_congested(group.pending, share)

    def are_congested(self, waiting: list[Message], share: int) -> bool:
        return (
            len(waiting) * share >= self.limits.congested_messages
            or sum(message.size for message in waiting) * share >= self.limits.congested_bytes
        )

    def settle(self, client: Client, delivery_id: int) -> InHand:
        in_hand = client.deliveries.pop(delivery_id)
        client.settled.append(delivery_id)
        in_hand.member.in_hand.remove(in_hand.message.size)
        return in_hand

    def hand_back(self, in_hand: InHand) -> None:
        message, group = in_hand.message, in_hand.member.group
        if message.wants_reply and not message.is_open:
            return
        heir = group if group.members else self.heir(group, in_hand.member.client.service)
        if message.asked is not None or message.begun or heir is None:
            self.lose(message)
            return
        group = heir
        group.was_handed_back = True
        self.delivered.discard((message, group))
        message.returned = True
        group.pending.insert(sum(each.returned for each in group.pending), message)

    def heir(self, left: Group, service: str) -> Group | None:
        """The group of those who came when all had left."""
        what = (left.kind, left.pattern, left.name)
        heirs = [group for group in self.groups if (group.kind, group.pattern, group.name) == what]
        if left.is_broadcast or not heirs or (left.kind == "command" and heirs[0].members[0].client.service != service):
            return None
        return heirs[0]

    def remove(self, client: Client) -> None:
        del self.clients[client.number]
        self.count("cancelled", len(client.requests))
        for request in list(client.requests.values()):
            self.abandon(request)
        for group in self.groups:
            group.held.discard(client.number)
        self.leave(list(client.members.values()))
        for in_hand in client.deliveries.values():
            self.lose(in_hand.message)

    def expire(self) -> None:
        self.expire_requests()
        for group in self.groups:
            if group.held and self.now >= group.last_progress + self.limits.stall_timeout:
                group.held.clear()
                if group.is_broadcast:
                    self.cut_off(group)
                else:
                    self.count("dropped_events", len(group.pending))
                    group.pending.clear()

    # What the router does.

    def see(self, client: Client, frame: Frame) -> None:
        if frame.kind == Kind.DELIVER and frame.flags & Flag.BATCH:
            assert client.members[frame.channel].batches
            assert frame.flags == (Flag.BATCH | Flag.NEEDS_REPLY if frame.id else Flag.BATCH)
            for single in singles(frame):
                single.channel, single.stamp, single.detail = frame.channel, frame.stamp, 1
                self.see_delivery(client, single)
        elif frame.kind == Kind.DELIVER:
            self.see_delivery(client, frame)
        elif frame.kind == Kind.REPLY and frame.flags & Flag.BATCH:
            assert frame.flags == Flag.BATCH
            for each in answers(frame):
                self.ledger.see(client.number, each)
        elif frame.kind == Kind.CREDIT:
            self.see_credit(client, frame)
        else:
            if frame.kind == Kind.CONFIRM and frame.id in client.requests:
                self.see_confirmation(client.requests[frame.id][0])
            self.ledger.see(client.number, frame)

    def see_delivery(self, client: Client, frame: Frame) -> None:
        member = client.members[frame.channel]
        message = self.next_for(member)
        assert frame.tail == message.frame.tail, "not the first that waits, or not as it came"
        assert frame.stamp == message.sender.stamp
        assert (message, member.group) not in self.delivered, "given twice"
        self.delivered.add((message, member.group))
        assert member.has_credit
        self.turn += 1
        member.last_turn = self.turn
        self.take(client, member, message, frame)

    def skip_expired(self, group: Group) -> None:
        for message in group.skip_expired(self.now):
            # Of all others the caller is told.
            if message.verb == Kind.PUBLISH:
                self.count("expired")

    def next_for(self, member: Member) -> Message:
        """What this member must be given now, if anything."""
        member.skip_expired(self.now)
        if member.addressed:
            return member.addressed.pop(0)
        group = member.group
        self.skip_expired(group)
        assert group.pending, "nothing waits for this group"
        message = group.pending.pop(0)
        message.returned = False
        group.last_progress = self.now
        rivals = [(len(rival.in_hand), rival.last_turn) for rival in group.members if rival.has_credit]
        assert (len(member.in_hand), member.last_turn) == min(rivals)
        if not group.was_handed_back:
            assert member.last_of.get(message.sender.number, -1) < message.number, "out of order"
        member.last_of[message.sender.number] = message.number
        return message

    def see_credit(self, client: Client, frame: Frame) -> None:
        if frame.flags & Flag.OF_STREAM:
            in_hand = client.deliveries[frame.id]
            assert in_hand.message.is_open
            in_hand.allow(frame.detail, frame.ttl)
            return
        assert frame.id == client.unreturned > 0
        client.unreturned = 0
        self.refilled.add(client.number)

    def see_confirmation(self, message: Message) -> None:
        """A command is confirmed with its delivery, which comes right behind."""
        if message.verb != Kind.SEND:
            return
        assert not message.wants_reply
        self.end(message)
        self.expect(message.sender, Kind.CONFIRM, message.frame.id)
        message.confirmed, message.deadline = True, None

    def take(self, client: Client, member: Member, message: Message, frame: Frame) -> None:
        member.in_hand.append(message.size)
        flags = Flag.NEEDS_REPLY if message.wants_reply else Flag.NONE if member.group.is_broadcast else Flag.NEEDS_ACK
        if message.is_stream:
            flags |= Flag.STREAMED
            self.expect(message.sender, Kind.CONFIRM, message.frame.id)
        assert (frame.flags, frame.detail) == (flags, 1)
        assert (frame.id != 0) == (flags != 0)
        if flags:
            assert frame.id not in client.deliveries
            assert frame.id not in client.settled
            client.deliveries[frame.id] = InHand(message, member)
        assert message.is_open == message.wants_reply
        assert message.confirmed == (message.verb == Kind.SEND and not message.wants_reply)
        left = 0 if message.deadline is None else int((message.deadline - self.now) * 1000)
        assert frame.ttl == left

    def check_at_rest(self) -> None:
        """Everything that was owed has come, and nothing waits that could go."""
        assert not self.ledger.due, f"did not come: {self.ledger.due}"
        for group in self.groups:
            self.check_waiting(group)
            if not self.is_congested(group, 2):
                group.held.clear()
        for client in self.clients.values():
            if any(client.number in group.held for group in self.groups):
                assert client.number not in self.refilled
            else:
                assert client.unreturned < max(1, self.limits.publish_window // 2)
            for in_hand in client.deliveries.values():
                if in_hand.message.is_open:
                    assert in_hand.allowed == in_hand.message.paid
        self.refilled.clear()

    def check_waiting(self, group: Group) -> None:
        assert group.members
        assert group.was_handed_back or not any(message.confirmed for message in group.pending)
        for member in group.members:
            if member.has_credit:
                member.skip_expired(self.now)
                assert not member.addressed, f"{len(member.addressed)} messages wait for a member that has credit"
        if any(member.has_credit for member in group.members):
            self.skip_expired(group)
            assert not group.pending, f"{len(group.pending)} messages wait although a member has credit"
