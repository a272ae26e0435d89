"""Clients of a router who come, listen and go, in every order; what they say to each other is in the next file."""

from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cqrsbus.errors import Code
from cqrsbus.routing.limits import RoutingLimits
from cqrsbus.routing.output import Emission
from cqrsbus.routing.router import Router
from cqrsbus.topics import matches
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import encode_header
from tests.routing.model import Model
from tests.routing.modelled import Client, Group, Member

SERVICES = ["orders", "stock"]
TOPICS = ["a.b", "c"]
PATTERNS = ["a.b", "a.*", ">"]

indices = st.integers(0, 63)
rarely = st.integers(0, 4).map(lambda number: number >= 3)


class Listeners(RuleBasedStateMachine):
    """Who is there, and listens to what."""

    limits = RoutingLimits(publish_window=2000, stall_timeout=1000.0)

    def __init__(self) -> None:
        super().__init__()
        self.router = Router(self.limits)
        self.model = Model(self.limits)
        self.numbers = count(1)
        self.ended: list[int] = []

    # The wire between the two.

    def say(self, client: Client, frame: Frame) -> None:
        self.carry_out(self.router.receive(client.number, frame, self.model.now))

    def carry_out(self, emissions: list[Emission]) -> None:
        for number, frame in emissions:
            self.model.see(self.model.clients[number], frame)
            if frame.kind == Kind.ERROR and number not in self.ended:
                self.ended.append(number)
        while self.ended:
            self.part(self.ended.pop())
        if not self.ended:
            self.model.check_at_rest()

    def part(self, number: int) -> None:
        self.model.remove(self.model.clients[number])
        self.carry_out(self.router.detach(number, self.model.now))

    def pick_client(self, index: int) -> Client:
        clients = list(self.model.clients.values())
        return clients[index % len(clients)]

    # Coming and going.

    @invariant()
    def somebody_is_there(self) -> None:
        """Or else most messages would find nobody."""
        while len(self.model.clients) < 3:
            self.connect(SERVICES[0])
            index, topic = len(self.model.clients) - 1, TOPICS[len(self.model.clients) % 2]
            self.subscribe(index, "command", topic, ">", "", 2, 100, True)
            self.subscribe(index, "query", topic, ">", "", 1, 100, True)
            self.subscribe(index, "event", topic, ">", "g", 2, 100, True)
            self.subscribe(index, "event", topic, "a.*", "", 2, 100, True)

    @precondition(lambda self: len(self.model.clients) < 5)
    @rule(service=st.sampled_from(SERVICES))
    def connect(self, service: str) -> None:
        number = next(self.numbers)
        client = self.model.clients[number] = Client(number, service)
        self.router.attach(number, service, client.instance)

    @rule(index=indices, do_it=rarely)
    def disconnect(self, index: int, do_it: bool) -> None:
        if do_it:
            self.part(self.pick_client(index).number)

    @rule(seconds=st.sampled_from([0.125, 0.5, 2.0]))
    def wait(self, seconds: float) -> None:
        self.model.now += seconds
        self.model.expire()
        self.carry_out(self.router.expire(self.model.now))

    @rule(seconds=st.sampled_from([0.125, 0.5]))
    def linger(self, seconds: float) -> None:
        """Time passes, and the broker's timer is late."""
        self.model.now += seconds

    # Who listens.

    @rule(
        index=indices,
        kind=st.sampled_from(["command", "query", "event"]),
        topic=st.sampled_from(TOPICS),
        pattern=st.sampled_from(PATTERNS),
        name=st.sampled_from(["", "g", "h"]),
        messages=st.integers(1, 3),
        size=st.sampled_from([1, 150]),
        batches=st.booleans(),
    )
    def subscribe(
        self, index: int, kind: str, topic: str, pattern: str, name: str, messages: int, size: int, batches: bool
    ) -> None:
        client = self.pick_client(index)
        pattern, name = (pattern, name) if kind == "event" else (topic, "")
        fields: dict[str, Any] = {"kind": kind, "messages": messages, "bytes": size, "batches": batches}
        if name:
            fields["group"] = name
        channel, client.next_channel = client.next_channel, client.next_channel + 1
        request_id = client.number_request()
        header, topic_bytes = encode_header(fields), pattern.encode()
        frame = Frame.of(Kind.SUBSCRIBE, channel=channel, id=request_id, topic=topic_bytes, header=header)
        group = self.group_to_join(kind, pattern, name)
        code = self.refusal(client, group)
        messages, size = min(messages, self.limits.max_credit_messages), min(size, self.limits.max_credit_bytes)
        if client.draining:
            self.model.expect(client, Kind.ERROR, 0, Code.UNEXPECTED_FRAME)
        elif code is not None:
            self.model.reject(client, request_id, code)
        else:
            self.model.expect(client, Kind.CONFIRM, request_id, messages)
            self.model.join(
                client,
                Member(client, channel, group, messages, size, batches),
            )
        self.say(client, frame)

    def group_to_join(self, kind: str, pattern: str, name: str) -> Group:
        if kind != "event" or name:
            for group in self.model.groups:
                if (group.kind, group.pattern, group.name) == (kind, pattern, name):
                    return group
        return Group(kind, pattern, name)

    def refusal(self, client: Client, group: Group) -> Code | None:
        if len(client.members) >= self.limits.max_subscriptions:
            return Code.QUEUE_FULL
        if group.kind == "command" and any(member.client.service != client.service for member in group.members):
            return Code.TOPOLOGY
        if group.kind != "event" and any(member.client is client for member in group.members):
            return Code.TOPOLOGY
        return None

    @rule(index=indices, channel=st.integers(1, 4))
    def unsubscribe(self, index: int, channel: int) -> None:
        client = self.pick_client(index)
        request_id = client.number_request()
        if channel in client.members:
            self.model.leave([client.members[channel]])
        self.model.expect(client, Kind.CONFIRM, request_id)
        self.say(client, Frame(Kind.UNSUBSCRIBE, channel=channel, id=request_id))

    @rule(index=indices, kind=st.sampled_from(["command", "query", "event"]), topic=st.sampled_from(TOPICS))
    def describe(self, index: int, kind: str, topic: str) -> None:
        """Nobody says anything of itself here, so each service is told once."""
        client = self.pick_client(index)
        request_id = client.number_request()
        if len(client.requests) >= self.limits.max_open_requests:
            self.model.reject(client, request_id, Code.QUEUE_FULL)
        else:
            groups = [group for group in self.model.groups if group.kind == kind and matches(group.pattern, topic)]
            told = {
                m.client.service: m.client.full_stamp for group in reversed(groups) for m in reversed(group.members)
            }
            for stamp in told.values():
                self.model.expect(client, Kind.REPLY, request_id, flags=Flag.MORE, stamp=stamp)
            self.model.expect(client, Kind.REPLY, request_id)
        header = encode_header({"kind": kind})
        self.say(client, Frame.of(Kind.DESCRIBE, id=request_id, topic=topic.encode(), header=header))

    @rule(index=indices, do_it=rarely)
    def drain(self, index: int, do_it: bool) -> None:
        if not do_it:
            return
        client = self.pick_client(index)
        self.model.leave(list(client.members.values()))
        client.draining = True
        self.model.expect(client, Kind.DRAIN, 0)
        self.say(client, Frame(Kind.DRAIN))
