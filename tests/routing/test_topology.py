"""Who may join what."""

import pytest

from cqrsbus.errors import Code
from cqrsbus.wire.frames import Frame, Kind
from cqrsbus.wire.header import Value, encode_header
from tests.routing.scenario import Scenario, reason


def test_a_command_has_one_owner_and_the_refusal_names_both() -> None:
    scenario = Scenario("orders", "stock", "orders")
    assert scenario.subscribe(1, 1, "command", "t").kind == Kind.CONFIRM
    refusal = scenario.subscribe(2, 1, "command", "t")
    assert (refusal.kind, refusal.detail) == (Kind.REJECT, Code.TOPOLOGY)
    for name in ("'orders'", "'orders-1'", "'stock'"):
        assert name in reason(refusal)
    assert scenario.subscribe(3, 1, "command", "t").kind == Kind.CONFIRM
    scenario.leave(1)
    assert scenario.subscribe(2, 1, "command", "t").kind == Kind.REJECT
    scenario.leave(3)
    assert scenario.subscribe(2, 1, "command", "t").kind == Kind.CONFIRM


def test_a_query_may_be_answered_by_any_service() -> None:
    scenario = Scenario("orders", "stock")
    assert [scenario.subscribe(client, 1, "query", "t").kind for client in (1, 2)] == [Kind.CONFIRM] * 2


@pytest.mark.parametrize("kind", ["command", "query"])
def test_one_connection_handles_a_topic_once(kind: str) -> None:
    scenario = Scenario("orders")
    assert scenario.subscribe(1, 1, kind, "t").kind == Kind.CONFIRM
    refusal = scenario.subscribe(1, 2, kind, "t")
    assert (refusal.kind, refusal.detail) == (Kind.REJECT, Code.TOPOLOGY)
    assert kind in reason(refusal)


def test_the_same_topic_may_be_command_query_and_event() -> None:
    scenario = Scenario("orders")
    kinds = ("command", "query", "event")
    assert [scenario.subscribe(1, channel, kind, "t").kind for channel, kind in enumerate(kinds, 1)] == [
        Kind.CONFIRM
    ] * 3


@pytest.mark.parametrize(
    ("kind", "pattern"), [("command", "a.*"), ("query", ">"), ("event", "a.>.b"), ("event", ""), ("command", "a\r\nb")]
)
def test_a_bad_pattern_is_refused_by_name(kind: str, pattern: str) -> None:
    scenario = Scenario("orders")
    refusal = scenario.subscribe(1, 1, kind, pattern)
    assert (refusal.kind, refusal.detail) == (Kind.REJECT, Code.INVALID_TOPIC)
    assert repr(pattern) in reason(refusal)


@pytest.mark.parametrize("channel", [0, 1])
def test_a_channel_is_used_once(channel: int) -> None:
    scenario = Scenario("orders")
    scenario.subscribe(1, 1, "event", "t")
    error = scenario.subscribe(1, channel, "event", "t")
    assert (error.kind, error.detail) == (Kind.ERROR, Code.BAD_FRAME)


def test_subscriptions_are_bounded() -> None:
    scenario = Scenario("orders", max_subscriptions=2)
    answers = [scenario.subscribe(1, channel, "event", "t") for channel in (1, 2, 3)]
    assert [answer.kind for answer in answers] == [Kind.CONFIRM, Kind.CONFIRM, Kind.REJECT]
    assert answers[2].detail == Code.QUEUE_FULL


@pytest.mark.parametrize("kind", ["command", "query", "event"])
@pytest.mark.parametrize(
    "fields",
    [
        {"messages": 0},
        {"messages": "1"},
        {"bytes": 0},
        {"bytes": 2**32},
        {"group": 1},
        {"group": "g" * 256},
        {"kind": "rumour"},
        {"kind": 1},
        {"colour": "red"},
    ],
)
def test_a_malformed_wish_is_refused_and_leaves_no_trace(kind: str, fields: dict[str, Value]) -> None:
    scenario = Scenario("orders", "stock")
    header = encode_header({"kind": kind, **fields})
    scenario.say(1, Frame.of(Kind.SUBSCRIBE, channel=1, topic=b"t", header=header))
    (error,) = scenario.take(1)
    assert (error.kind, error.detail) == (Kind.ERROR, Code.BAD_FRAME)
    scenario.leave(1)
    assert scenario.subscribe(2, 1, kind, "t").kind == Kind.CONFIRM
    assert len(scenario.router._topology.event_groups(b"t")) == (kind == "event")


def test_credit_is_granted_within_bounds() -> None:
    scenario = Scenario("orders", max_credit_messages=10, max_credit_bytes=1000)
    for channel, (asked, granted) in enumerate({3: 3, 11: 10}.items(), 1):
        answer = scenario.subscribe(1, channel, "event", "t", messages=asked, bytes=asked * 100)
        assert (answer.detail, answer.ttl) == (granted, granted * 100)
    answer = scenario.subscribe(1, 9, "event", "t")
    assert (answer.detail, answer.ttl) == (10, 1000)


@pytest.mark.parametrize("limit", ["messages", "bytes"])
def test_who_leaves_without_settling_cannot_subscribe_again_for_ever(limit: str) -> None:
    limits = {"messages": {"max_credit_messages": 4}, "bytes": {"max_credit_bytes": 40}}[limit]
    scenario = Scenario("orders", "stock", **limits)
    kept = list[int]()
    for channel in range(1, 4):
        assert scenario.subscribe(1, channel, "command", "t", messages=2).kind == Kind.CONFIRM
        for number in range(2):
            scenario.send(2, Kind.SEND, "t", id=10 * channel + number, body=bytes(10))
        kept += [frame.id for frame in scenario.take(1)]
        scenario.say(1, Frame(Kind.UNSUBSCRIBE, channel=channel, id=channel))
        scenario.take(1)
        if channel == 2:
            break
    refusal = scenario.subscribe(1, 9, "command", "t")
    assert (refusal.kind, refusal.detail) == (Kind.REJECT, Code.QUEUE_FULL)
    assert "4 messages" in reason(refusal)
    for number in kept:
        scenario.say(1, Frame(Kind.ACK, id=number))
    assert scenario.subscribe(1, 9, "command", "t").kind == Kind.CONFIRM
    peer = scenario.router._peers[1]
    assert (peer.left_in_hand, peer.left_bytes) == (0, 0)


def test_events_outside_groups_are_not_settled_and_do_not_count_when_they_are_left() -> None:
    scenario = Scenario("orders", max_credit_messages=1)
    for channel in range(1, 4):
        assert scenario.subscribe(1, channel, "event", "t").kind == Kind.CONFIRM
        scenario.send(1, Kind.PUBLISH, "t")
        scenario.say(1, Frame(Kind.UNSUBSCRIBE, channel=channel, id=channel))
        scenario.take(1)
