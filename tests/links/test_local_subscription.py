"""What a subscription asks for, and how its credit goes back."""

import pytest

from cqrsbus.links.local_subscription import MAX_UNRETURNED_BYTES, LocalSubscription
from cqrsbus.links.port import Delivery, SubscriptionSpec
from cqrsbus.wire.envelope import Envelope, encode_envelope
from cqrsbus.wire.frames import MAX_U16, Frame, Kind
from cqrsbus.wire.header import decode_header
from tests.links.channels import FakeChannel

ENVELOPE = encode_envelope(Envelope("m-1"))


def ignore(delivery: Delivery) -> None: ...


def subscription(**fields: object) -> LocalSubscription:
    spec: dict[str, object] = {"kind": "event", "pattern": "a.>", **fields}
    return LocalSubscription(3, SubscriptionSpec(**spec), ignore)  # type: ignore[arg-type]


def test_what_it_says_of_itself_is_said_with_every_connection() -> None:
    described = subscription(contract=b"x" * 2000)
    for channel in (FakeChannel(), FakeChannel()):
        assert described.request(1, channel).body == b"x" * 2000
    assert described.request(1, FakeChannel(max_frame=2500)).body == b""


class TestCredit:
    @pytest.fixture
    def channel(self) -> FakeChannel:
        return FakeChannel()

    def confirmed(self, channel: FakeChannel, messages: int, size: int) -> LocalSubscription:
        made = subscription()
        made.request(1, channel)
        made.confirm(channel, Frame(Kind.CONFIRM, id=1, detail=messages, ttl=size))
        return made

    def test_half_of_the_messages_go_back_at_once(self, channel: FakeChannel) -> None:
        through = self.confirmed(channel, 10, 1 << 20)
        for _ in range(12):
            through.handled(channel, 7)
        assert channel.frames == [Frame(Kind.CREDIT, channel=3, detail=5, id=35)] * 2

    def test_half_of_the_bytes_go_back_at_once(self, channel: FakeChannel) -> None:
        through = self.confirmed(channel, 1000, 1000)
        for size in (499, 1, 500):
            through.handled(channel, size)
        assert [(frame.detail, frame.id) for frame in channel.frames] == [(2, 500), (1, 500)]

    def test_however_many_bytes_were_granted_they_do_not_wait_for_long(self, channel: FakeChannel) -> None:
        through = self.confirmed(channel, MAX_U16, 1 << 31)
        through.handled(channel, MAX_UNRETURNED_BYTES // 2)
        assert [frame.id for frame in channel.frames] == [MAX_UNRETURNED_BYTES // 2]

    def test_it_goes_back_before_the_confirmation_too(self, channel: FakeChannel) -> None:
        through = subscription()
        through.request(1, channel)
        through.handled(channel, 10)
        assert [(frame.detail, frame.id) for frame in channel.frames] == [(1, 10)]

    def test_what_came_over_a_lost_connection_counts_no_more(self, channel: FakeChannel) -> None:
        through = self.confirmed(channel, 10, 1 << 20)
        through.handled(channel, 10)
        again = FakeChannel()
        through.request(2, again)
        through.confirm(again, Frame(Kind.CONFIRM, id=2, detail=4, ttl=1 << 20))
        through.handled(channel, 10)
        through.handled(again, 1)
        assert channel.frames == again.frames == []
        through.handled(again, 1)
        assert [(frame.detail, frame.id) for frame in again.frames] == [(2, 2)]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, {"kind": "event"}),
        ({"group": "g", "credit_messages": 9}, {"kind": "event", "group": "g", "messages": 9}),
    ],
)
def test_the_request(fields: dict[str, object], said: dict[str, object]) -> None:
    frame = subscription(**fields).request(8, FakeChannel())
    assert (frame.kind, frame.channel, frame.id, frame.topic) == (Kind.SUBSCRIBE, 3, 8, "a.>")
    assert decode_header(frame.header) == {"batches": True, **said}
