"""What subscriptions say of themselves, and who is told."""

from typing import Any

import pytest

from cqrsbus.errors import Code
from cqrsbus.routing.limits import MAX_CONTRACT, MAX_CONTRACTS, MAX_DESCRIBED
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import decode_header, encode_header
from tests.routing.scenario import Scenario, reason


def subscribe(
    scenario: Scenario, client: int, channel: int, kind: str, topic: str, body: bytes, **fields: Any
) -> Frame:
    header = encode_header({"kind": kind, **fields})
    frame = Frame.of(Kind.SUBSCRIBE, channel=channel, id=channel, topic=topic.encode(), header=header, body=body)
    scenario.say(client, frame)
    return scenario.take(client)[-1]


def describe(scenario: Scenario, client: int, kind: str, topic: str) -> list[tuple[str, str, bytes]]:
    """Who is told, with what; all but the last say that more follow."""
    scenario.take(client)
    scenario.say(client, Frame.of(Kind.DESCRIBE, id=900, topic=topic.encode(), header=encode_header({"kind": kind})))
    *found, last = scenario.take(client)
    assert (last.kind, last.id, last.flags, last.tail, last.stamp) == (Kind.REPLY, 900, 0, b"", b"")
    assert all((each.kind, each.id, each.flags) == (Kind.REPLY, 900, Flag.MORE) for each in found)
    stamps = [decode_header(each.stamp) for each in found]
    return [(str(s["from"]), str(s["instance"]), each.body) for s, each in zip(stamps, found, strict=True)]


def test_whoever_asks_is_told_what_each_service_said() -> None:
    scenario = Scenario("desk", "mail", "mail", "archive")
    for client, said in ((2, b"one"), (3, b"two"), (4, b"one")):
        assert subscribe(scenario, client, 1, "query", "find", said).kind == Kind.CONFIRM
    assert describe(scenario, 1, "query", "find") == [
        ("mail", "mail-2", b"one"),
        ("mail", "mail-3", b"two"),
        ("archive", "archive-4", b"one"),
    ]
    assert scenario.router.open_requests == 0


def test_instances_that_say_the_same_are_told_once() -> None:
    scenario = Scenario("mail", "mail", "mail")
    for client in (1, 2, 3):
        subscribe(scenario, client, 1, "command", "store", b"same")
    assert describe(scenario, 1, "command", "store") == [("mail", "mail-1", b"same")]
    scenario.leave(1)
    assert describe(scenario, 2, "command", "store") == [("mail", "mail-2", b"same")]


def test_who_says_nothing_is_there() -> None:
    scenario = Scenario("mail")
    scenario.subscribe(1, 1, "command", "store")
    assert describe(scenario, 1, "command", "store") == [("mail", "mail-1", b"")]


def test_kinds_are_told_apart_and_events_heard_by_pattern() -> None:
    scenario = Scenario("mail")
    subscribe(scenario, 1, 1, "event", "mail.*", b"some", group="g")
    subscribe(scenario, 1, 2, "event", ">", b"all")
    subscribe(scenario, 1, 3, "query", "mail.new", b"query")
    assert [said for _, _, said in describe(scenario, 1, "event", "mail.new")] == [b"some", b"all"]
    assert [said for _, _, said in describe(scenario, 1, "event", "other")] == [b"all"]
    assert [said for _, _, said in describe(scenario, 1, "query", "mail.new")] == [b"query"]
    assert describe(scenario, 1, "command", "mail.new") == []


def test_what_was_said_goes_with_the_subscription() -> None:
    scenario = Scenario("mail", "desk")
    subscribe(scenario, 1, 1, "query", "find", b"x" * MAX_CONTRACT)
    scenario.say(1, Frame(Kind.UNSUBSCRIBE, channel=1, id=5))
    assert describe(scenario, 2, "query", "find") == []
    for channel in range(2, 2 + MAX_CONTRACTS // MAX_CONTRACT):
        assert subscribe(scenario, 1, channel, "event", f"e{channel}", b"x" * MAX_CONTRACT).kind == Kind.CONFIRM


def test_what_is_said_is_bounded() -> None:
    scenario = Scenario("mail")
    refusal = subscribe(scenario, 1, 1, "event", "e", b"x" * (MAX_CONTRACT + 1))
    assert (refusal.kind, refusal.detail) == (Kind.REJECT, Code.PAYLOAD_TOO_LARGE)
    assert str(MAX_CONTRACT) in reason(refusal)
    most = MAX_CONTRACTS // MAX_CONTRACT
    answers = [subscribe(scenario, 1, channel, "event", "e", b"x" * MAX_CONTRACT) for channel in range(1, most + 2)]
    assert [answer.kind for answer in answers] == [Kind.CONFIRM] * most + [Kind.REJECT]
    assert str(MAX_CONTRACTS) in reason(answers[-1])


def test_what_is_told_is_bounded() -> None:
    scenario = Scenario("mail", max_subscriptions=MAX_DESCRIBED + 5)
    for channel in range(1, MAX_DESCRIBED + 6):
        subscribe(scenario, 1, channel, "event", "e", b"%d" % channel)
    assert len(describe(scenario, 1, "event", "e")) == MAX_DESCRIBED


@pytest.mark.parametrize("topic", ["a.*", "", "a\r\nb"])
def test_a_malformed_topic_is_refused(topic: str) -> None:
    scenario = Scenario("desk")
    scenario.say(1, Frame.of(Kind.DESCRIBE, id=1, topic=topic.encode(), header=encode_header({"kind": "query"})))
    (refusal,) = scenario.take(1)
    assert (refusal.kind, refusal.id, refusal.detail) == (Kind.REJECT, 1, Code.INVALID_TOPIC)


@pytest.mark.parametrize(
    ("number", "header"),
    [
        (0, {"kind": "query"}),
        (1, {}),
        (1, {"kind": "other"}),
        (1, {"kind": 5}),
        (1, {"kind": "query", "colour": "red"}),
    ],
)
def test_a_malformed_description_ends_the_connection(number: int, header: dict[str, Any]) -> None:
    scenario = Scenario("desk")
    scenario.say(1, Frame.of(Kind.DESCRIBE, id=number, topic=b"t", header=encode_header(header)))
    (error,) = scenario.take(1)
    assert (error.kind, error.detail) == (Kind.ERROR, Code.BAD_FRAME)
