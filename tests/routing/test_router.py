"""The router against the model, in every order of events that hypothesis thinks of."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from cqrsbus.errors import Code
from cqrsbus.routing.limits import RoutingLimits
from cqrsbus.wire.envelope import Envelope, encode_envelope
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import encode_header
from tests.routing.books import assert_nothing_is_kept_for_nobody, assert_nothing_is_left
from tests.routing.machine import indices, rarely
from tests.routing.machine_messages import Speakers
from tests.routing.modelled import Client, Member, Message

TIGHT = RoutingLimits(
    max_subscriptions=5,
    max_open_requests=3,
    max_credit_messages=3,
    max_credit_bytes=150,
    max_queue_messages=4,
    max_queue_bytes=400,
    publish_window=150,
    stall_timeout=1.0,
)
COUNTED = (
    "cancelled",
    "dropped_events",
    "expired",
    "late_replies",
    "lost_commands",
    "rejected",
    "replied",
    "stale_settlements",
)


class RouterMachine(Speakers):
    """Clients who do whatever they may, and some things that they may not."""

    # Breaking the rules.

    @rule(index=indices, do_it=rarely, data=st.data())
    def misbehave(self, index: int, do_it: bool, data: st.DataObject) -> None:
        if not do_it:
            return
        client = self.pick_client(index)
        # Also how a stranger tries to answer with another's number.
        never_made = max([0, *client.deliveries, *client.settled]) + 1
        wrong = [Frame(kind, id=never_made) for kind in (Kind.REPLY, Kind.ACK, Kind.NACK)]
        for delivery_id, in_hand in client.deliveries.items():
            wrong += wrongly_settled(delivery_id, in_hand.message)
        for request_id, request in client.requests.items():
            wrong += self.wrongly_asked(request_id, request[0])
        for member in client.members.values():
            wrong += wrongly_subscribed(member)
        self.break_off(client, data.draw(st.sampled_from(wrong)), Code.BAD_FRAME)

    def break_off(self, client: Client, frame: Frame, code: Code) -> None:
        self.model.expect(client, Kind.ERROR, 0, code)
        self.say(client, frame)

    def wrongly_asked(self, request_id: int, message: Message) -> list[Frame]:
        wrong = []
        if not message.is_stream:
            wrong.append(Frame(Kind.CREDIT, flags=Flag.OF_STREAM, id=request_id, detail=1, ttl=1))
        # An ask that nobody could answer is refused before its number is looked at.
        if self.model.find_group("query", "c"):
            wrong.append(Frame.of(Kind.ASK, id=request_id, topic=b"c", header=encode_envelope(Envelope("again"))))
        return wrong

    @precondition(lambda self: self.unpaid())
    @rule(index=indices, do_it=rarely)
    def answer_beyond_what_is_paid(self, index: int, do_it: bool) -> None:
        if do_it:
            client, delivery_id = self.unpaid()[index % len(self.unpaid())]
            self.break_off(client, Frame(Kind.REPLY, id=delivery_id, flags=Flag.MORE), Code.WINDOW_EXCEEDED)

    def unpaid(self) -> list[tuple[Client, int]]:
        return [
            (client, delivery_id)
            for client, delivery_id, in_hand in self.streams()
            if in_hand.message.is_open and min(in_hand.allowed) <= 0
        ]

    @precondition(lambda self: any(c.unreturned >= self.limits.publish_window for c in self.model.clients.values()))
    @rule()
    def publish_beyond_the_window(self) -> None:
        client = next(c for c in self.model.clients.values() if c.unreturned >= self.limits.publish_window)
        self.break_off(client, self.message(client, Kind.PUBLISH, "c", 0, 0).frame, Code.WINDOW_EXCEEDED)

    # What always holds.

    @invariant()
    def everything_owed_has_come(self) -> None:
        self.model.check_at_rest()
        assert self.router.open_requests == sum(len(client.requests) for client in self.model.clients.values())

    @invariant()
    def everything_is_counted(self) -> None:
        for name in COUNTED:
            assert getattr(self.router.counters, name) == self.model.ledger.counted[name], name

    @invariant()
    def nothing_is_kept_for_nobody(self) -> None:
        assert_nothing_is_kept_for_nobody(self.router, self.model.now)

    def teardown(self) -> None:
        for number in list(self.model.clients):
            if number in self.model.clients:
                self.part(number)
        self.model.check_at_rest()
        assert_nothing_is_left(self.router)


def wrongly_settled(delivery_id: int, message: Message) -> list[Frame]:
    if not message.wants_reply:
        return [Frame(Kind.REPLY, id=delivery_id)]
    kinds = [Frame(Kind.ACK, id=delivery_id), Frame(Kind.NACK, id=delivery_id)]
    if message.is_open:
        flags = Flag.MORE | Flag.FAILED if message.is_stream else Flag.MORE
        kinds.append(Frame(Kind.REPLY, id=delivery_id, flags=flags))
    return kinds


def wrongly_subscribed(member: Member) -> list[Frame]:
    wrong = [Frame.of(Kind.SUBSCRIBE, channel=member.channel, header=encode_header({"kind": "event"}))]
    if not member.group.is_broadcast:
        wrong.append(Frame(Kind.CREDIT, channel=member.channel, detail=1))
    return wrong


class TightRouterMachine(RouterMachine):
    """The same with little room everywhere."""

    limits = TIGHT


RouterMachine.TestCase.settings = TightRouterMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=50
)
TestRoomyRouter = RouterMachine.TestCase
TestTightRouter = TightRouterMachine.TestCase
