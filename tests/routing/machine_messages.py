"""Clients of a router who send, ask, publish, pay, answer and change their minds, in every order."""

from itertools import count

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from cqrsbus.errors import Code
from cqrsbus.wire.frames import Flag, Frame, Kind
from tests.routing.machine import TOPICS, Listeners, indices
from tests.routing.modelled import Client, Group, InHand, Message
from tests.wire.batches import batch, numbered_header

#: Eighths of a second, which neither floats nor milliseconds round.
ttls = st.sampled_from([0, 125, 500, 2000])
sizes = st.sampled_from([0, 10, 60])
#: The largest reach beyond what a head can say, if they are paid twice: that ends the connection.
payments = st.tuples(st.sampled_from([0, 1, 3, 3, 3, 60_000]), st.sampled_from([0, 1, 100, 100, 100, 2**32 - 1]))


class Speakers(Listeners):
    """Who says what to whom."""

    def __init__(self) -> None:
        super().__init__()
        self.messages = count(1)

    # Messages.

    def message(self, client: Client, verb: int, topic: str, ttl: int, size: int, flags: int = 0) -> Message:
        number = next(self.messages)
        frame = Frame.of(
            verb, topic=topic.encode(), header=numbered_header(number), body=b"x" * size, flags=flags, ttl=ttl
        )
        frame.id = client.number_request()
        deadline = self.model.now + ttl / 1000 if ttl else None
        return Message(verb, client, number, frame, deadline)

    @rule(index=indices, topic=st.sampled_from(TOPICS), ttl=ttls, size=sizes, waits=st.booleans())
    def send(self, index: int, topic: str, ttl: int, size: int, waits: bool) -> None:
        flags = Flag.WAIT if waits else Flag.NONE
        message = self.message(self.pick_client(index), Kind.SEND, topic, ttl, size, flags)
        message.wants_reply = waits
        self.request(message, self.model.find_group("command", topic))

    @rule(index=indices, topic=st.sampled_from(TOPICS), ttl=ttls, size=sizes)
    def ask(self, index: int, topic: str, ttl: int, size: int) -> None:
        message = self.message(self.pick_client(index), Kind.ASK, topic, ttl, size)
        message.wants_reply = True
        self.request(message, self.model.find_group("query", topic))

    @rule(index=indices, topic=st.sampled_from(TOPICS), ttl=ttls, sizes=st.lists(sizes, min_size=1, max_size=5))
    def ask_a_batch(self, index: int, topic: str, ttl: int, sizes: list[int]) -> None:
        client = self.pick_client(index)
        messages = [self.message(client, Kind.ASK, topic, ttl, size) for size in sizes]
        group = self.model.find_group("query", topic)
        for message in messages:
            message.wants_reply = True
            if group is None:
                self.model.reject(client, message.frame.id, Code.NO_HANDLER)
        if group is not None:
            self.model.ask_batch(messages, group)
        self.say(client, batch(*(message.frame for message in messages)))

    @rule(index=indices, topic=st.sampled_from(TOPICS), ttl=ttls, size=sizes, payment=payments)
    def ask_for_a_stream(self, index: int, topic: str, ttl: int, size: int, payment: tuple[int, int]) -> None:
        message = self.message(self.pick_client(index), Kind.ASK, topic, ttl, size, Flag.STREAM)
        message.wants_reply = True
        self.request(message, self.model.find_group("query", topic))
        self.pay_for(message, *payment)

    @rule(index=indices, topic=st.sampled_from(TOPICS), ttl=ttls, size=sizes)
    def ask_everybody(self, index: int, topic: str, ttl: int, size: int) -> None:
        message = self.message(self.pick_client(index), Kind.ASK, topic, ttl, size, Flag.EVERY)
        self.request(message, self.model.find_group("query", topic))

    def request(self, message: Message, group: Group | None) -> None:
        client, request_id = message.sender, message.frame.id
        if group is None:
            self.model.reject(client, request_id, Code.NO_HANDLER)
        elif len(client.requests) >= self.limits.max_open_requests:
            self.model.reject(client, request_id, Code.QUEUE_FULL)
        elif message.frame.flags & Flag.EVERY and message.verb == Kind.ASK:
            self.model.poll(message, group)
        elif self.model.offer(group, message):
            self.model.open(message)
        else:
            self.model.reject(client, request_id, Code.QUEUE_FULL)
        self.say(client, message.frame)

    @rule(index=indices, topic=st.sampled_from(TOPICS), ttl=ttls, size=sizes, times=st.integers(1, 5))
    def publish_some(self, index: int, topic: str, ttl: int, size: int, times: int) -> None:
        client = self.pick_client(index)
        for _ in range(times):
            if client.number in self.model.clients:
                self.publish(client, topic, ttl, size)

    def publish(self, client: Client, topic: str, ttl: int, size: int) -> None:
        if client.unreturned >= self.limits.publish_window:
            return
        message = self.message(client, Kind.PUBLISH, topic, ttl, size)
        client.unreturned += message.frame.size
        self.model.publish(message, self.model.groups_of_event(topic))
        self.say(client, message.frame)

    @rule(index=indices, topic=st.sampled_from(TOPICS), ttl=ttls, sizes=st.lists(sizes, min_size=1, max_size=5))
    def publish_a_batch(self, index: int, topic: str, ttl: int, sizes: list[int]) -> None:
        client = self.pick_client(index)
        if client.unreturned >= self.limits.publish_window:
            return
        messages = [self.message(client, Kind.PUBLISH, topic, ttl, size) for size in sizes]
        client.unreturned += sum(message.frame.size for message in messages)
        self.model.publish_batch(messages, self.model.groups_of_event(topic))
        self.say(client, batch(*(message.frame for message in messages)))

    @rule(index=indices, verb=st.sampled_from([Kind.SEND, Kind.ASK, Kind.PUBLISH]))
    def address_nonsense(self, index: int, verb: Kind) -> None:
        client = self.pick_client(index)
        if client.unreturned >= self.limits.publish_window:
            return
        message = self.message(client, verb, "a..b", 0, 10)
        if verb == Kind.PUBLISH:
            client.unreturned += message.frame.size
        self.model.reject(client, message.frame.id, Code.INVALID_TOPIC)
        self.say(client, message.frame)

    # Second thoughts.

    @rule(index=indices)
    def cancel(self, index: int) -> None:
        found = [(client, number) for client in self.model.clients.values() for number in client.requests]
        client, request_id = found[index % len(found)] if found else (self.pick_client(index), 10_000)
        if found:
            self.model.abandon(client.requests[request_id])
            self.model.count("cancelled")
        self.say(client, Frame(Kind.CANCEL, id=request_id))

    @rule(index=indices, payment=payments)
    def pay(self, index: int, payment: tuple[int, int]) -> None:
        requests = [request for client in self.model.clients.values() for request in client.requests.values()]
        found = [request[0] for request in requests if request[0].is_stream]
        if found:
            self.pay_for(found[index % len(found)], *payment)

    @rule(index=indices)
    def pay_for_what_has_ended(self, index: int) -> None:
        client = self.pick_client(index)
        ended = [number for number in range(1, client.next_id + 1) if number not in client.requests]
        self.say(client, Frame(Kind.CREDIT, flags=Flag.OF_STREAM, id=ended[index % len(ended)], detail=1, ttl=1))

    def pay_for(self, message: Message, items: int, size: int) -> None:
        """Allow more of a stream, if it has not ended."""
        if message.is_open and not message.pay(items, size):
            self.model.expect(message.sender, Kind.ERROR, 0, Code.BAD_FRAME)
        if message.sender.number in self.model.clients:
            frame = Frame(Kind.CREDIT, flags=Flag.OF_STREAM, id=message.frame.id, detail=items, ttl=size)
            self.say(message.sender, frame)

    # Settling.

    def pick_delivery(self, index: int) -> tuple[Client, int]:
        found = [(client, number) for client in self.model.clients.values() for number in client.deliveries]
        return found[index % len(found)]

    @precondition(lambda self: any(client.deliveries for client in self.model.clients.values()))
    @rule(index=indices, detail=st.sampled_from([0, Code.REMOTE_ERROR, Code.CANCELLED]))
    def settle(self, index: int, detail: int) -> None:
        client, delivery_id = self.pick_delivery(index)
        message = self.model.settle(client, delivery_id).message
        if message.wants_reply and detail != Code.CANCELLED:
            flags, body = (Flag.FAILED if detail else Flag.NONE), b"re %d" % message.number
            self.model.answer(client, message, detail, body)
            self.say(client, Frame.of(Kind.REPLY, id=delivery_id, detail=detail, flags=flags, body=body))
            return
        if message.wants_reply and message.is_open:
            self.model.refuse(message, detail)
        self.say(client, Frame(Kind.NACK if detail else Kind.ACK, id=delivery_id, detail=detail))

    @rule(index=indices, most=st.integers(1, 4))
    def answer_several(self, index: int, most: int) -> None:
        """In one frame; what that lets be given goes to one who is alone, since the model looks only at the end."""
        found = [
            (client, number)
            for client in self.model.clients.values()
            for number in client.deliveries
            if self.may_be_answered(client, number)
        ]
        if not found:
            return
        client, first = found[index % len(found)]
        frames: list[Frame] = []
        for number in range(first, first + most):
            if not self.may_be_answered(client, number):
                break
            message = self.model.settle(client, number).message
            frames.append(Frame.of(Kind.REPLY, id=number, body=b"re %d" % message.number))
            self.model.answer(client, message, 0, frames[-1].body)
        self.say(client, batch(*frames))

    @staticmethod
    def may_be_answered(client: Client, number: int) -> bool:
        in_hand = client.deliveries.get(number)
        return in_hand is not None and in_hand.message.wants_reply and len(in_hand.member.group.members) == 1

    @rule(index=indices, size=sizes)
    def continue_a_stream(self, index: int, size: int) -> None:
        found = [each for each in self.streams() if not each[2].message.is_open or min(each[2].allowed) > 0]
        if found:
            client, delivery_id, in_hand = found[index % len(found)]
            body = b"y" * size
            self.model.go_on(client, in_hand, body)
            self.say(client, Frame.of(Kind.REPLY, id=delivery_id, flags=Flag.MORE, body=body))

    def streams(self) -> list[tuple[Client, int, InHand]]:
        return [
            (client, delivery_id, in_hand)
            for client in self.model.clients.values()
            for delivery_id, in_hand in client.deliveries.items()
            if in_hand.message.is_stream
        ]

    @precondition(lambda self: any(client.deliveries for client in self.model.clients.values()))
    @rule(index=indices)
    def hand_back(self, index: int) -> None:
        client, delivery_id = self.pick_delivery(index)
        self.model.hand_back(self.model.settle(client, delivery_id))
        self.say(client, Frame(Kind.NACK, id=delivery_id, detail=Code.HANDLER_LOST))

    @rule(index=indices, which=indices, kind=st.sampled_from([Kind.REPLY, Kind.ACK, Kind.NACK]), more=st.booleans())
    def settle_again(self, index: int, which: int, kind: Kind, more: bool) -> None:
        client = self.pick_client(index)
        if not client.settled:
            return
        self.model.count("late_replies" if kind == Kind.REPLY else "stale_settlements")
        flags = Flag.MORE if more and kind == Kind.REPLY else Flag.NONE
        self.say(client, Frame(kind, id=client.settled[which % len(client.settled)], flags=flags))

    @rule(index=indices, amount=st.integers(1, 3))
    def give_credit(self, index: int, amount: int) -> None:
        client = self.pick_client(index)
        for member in list(client.members.values()):
            done = member.in_hand[:amount]
            if member.group.is_broadcast and done and client.number in self.model.clients:
                del member.in_hand[:amount]
                self.say(client, Frame(Kind.CREDIT, channel=member.channel, detail=len(done), id=sum(done)))

    @rule()
    def settle_everything(self) -> None:
        while any(client.deliveries for client in self.model.clients.values()):
            self.settle(0, 0)
        for index in range(len(self.model.clients)):
            self.give_credit(index, 3)
