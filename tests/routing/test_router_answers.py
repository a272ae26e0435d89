"""Who is answered, by whom, and how a conversation ends: the router's rules, one story each."""

import gc
import sys
from typing import Any

import pytest

from cqrsbus.errors import Code
from cqrsbus.wire.envelope import Envelope, encode_envelope
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import decode_header, encode_header
from tests.routing.scenario import Scenario, reason

ASKER, HANDLER, OTHER = 1, 2, 3


def asked(*, kind: str = "query", **head: int) -> Scenario:
    """A handler has one message in hand."""
    scenario = Scenario("asker", "handler", "handler")
    scenario.subscribe(HANDLER, 1, kind, "t")
    scenario.send(ASKER, Kind.ASK if kind == "query" else Kind.SEND, "t", id=9, **head)
    return scenario


def test_fifty_asks_on_one_topic_never_mix() -> None:
    scenario = Scenario("asker", "handler", "asker")
    scenario.subscribe(HANDLER, 1, "query", "t", messages=100)
    for number in range(1, 51):
        for asker in (ASKER, OTHER):
            scenario.send(asker, Kind.ASK, "t", id=number, body=b"%d of %d" % (number, asker))
    for delivery in reversed(scenario.take(HANDLER)):
        scenario.say(HANDLER, Frame.of(Kind.REPLY, id=delivery.id, body=b"answer to " + delivery.body))
    for asker in (ASKER, OTHER):
        answers = {frame.id: frame.body for frame in scenario.take(asker)}
        assert answers == {number: b"answer to %d of %d" % (number, asker) for number in range(1, 51)}


def test_an_asker_that_handles_the_topic_answers_itself() -> None:
    scenario = Scenario("both")
    scenario.subscribe(ASKER, 1, "query", "t")
    scenario.send(ASKER, Kind.ASK, "t", id=9)
    (delivery,) = scenario.take(ASKER)
    scenario.say(ASKER, Frame.of(Kind.REPLY, id=delivery.id, body=b"me"))
    (answer,) = scenario.take(ASKER)
    assert (answer.id, answer.body) == (9, b"me")


def test_an_asker_that_asked_itself_leaves_quietly() -> None:
    scenario = Scenario("both")
    scenario.subscribe(ASKER, 1, "query", "t")
    scenario.send(ASKER, Kind.ASK, "t", id=9)
    scenario.take(ASKER)
    scenario.leave(ASKER)
    assert scenario.take(ASKER) == []


def test_the_second_reply_is_late() -> None:
    scenario = asked()
    for _ in range(2):
        scenario.say(HANDLER, Frame(Kind.REPLY, id=1))
    assert scenario.kinds(ASKER) == ["REPLY"]
    assert scenario.router.counters.late_replies == 1


def test_nobody_answers_for_another() -> None:
    scenario = asked()
    scenario.say(OTHER, Frame(Kind.REPLY, id=1))
    assert scenario.take(ASKER) == []
    (error,) = scenario.take(OTHER)
    assert (error.kind, error.detail) == (Kind.ERROR, Code.BAD_FRAME)


@pytest.mark.parametrize("settlement", [Frame(Kind.ACK, id=1), Frame(Kind.NACK, id=1)])
@pytest.mark.parametrize(("kind", "flags"), [("query", 0), ("command", Flag.WAIT)])
def test_who_waits_for_a_reply_is_not_forgotten(kind: str, flags: int, settlement: Frame) -> None:
    scenario = asked(kind=kind, flags=flags)
    scenario.take(HANDLER)
    scenario.say(HANDLER, settlement)
    assert scenario.kinds(HANDLER) == ["ERROR"]
    scenario.leave(HANDLER)
    (refusal,) = scenario.take(ASKER)
    assert (refusal.id, refusal.detail) == (9, Code.HANDLER_LOST)
    assert "'handler-2'" in reason(refusal)


def test_who_waits_for_a_reply_is_told_why_none_will_come() -> None:
    scenario = asked()
    why = encode_header({"reason": "no time"})
    scenario.say(HANDLER, Frame.of(Kind.NACK, id=1, detail=Code.DEADLINE_EXCEEDED, header=why))
    assert scenario.take(ASKER) == [Frame.of(Kind.REJECT, id=9, detail=Code.DEADLINE_EXCEEDED, header=why)]
    assert scenario.router.open_requests == 0


def test_a_caller_that_leaves_stops_the_handler() -> None:
    for leave in (lambda s: s.say(ASKER, Frame(Kind.CANCEL, id=9)), lambda s: s.leave(ASKER)):
        scenario = asked()
        scenario.take(HANDLER)
        leave(scenario)
        assert scenario.take(HANDLER) == [Frame(Kind.CANCEL, id=1)]
        scenario.say(HANDLER, Frame(Kind.REPLY, id=1))
        assert scenario.take(ASKER) == []
        assert scenario.router.counters.late_replies == 1


def test_a_confirmed_command_outlives_its_caller_and_its_ttl() -> None:
    scenario = asked(kind="command", ttl=1000)
    (delivery,) = scenario.take(HANDLER)
    assert (delivery.flags, delivery.ttl) == (Flag.NEEDS_ACK, 0)
    assert scenario.kinds(ASKER) == ["CONFIRM"]
    scenario.leave(ASKER)
    scenario.wait(5.0)
    assert scenario.take(HANDLER) == []
    scenario.leave(HANDLER)
    assert scenario.router.counters.lost_commands == 1


def test_what_is_handed_back_goes_to_another_before_all_that_waits() -> None:
    scenario = asked(kind="command")
    (first,) = scenario.take(HANDLER)
    scenario.subscribe(OTHER, 1, "command", "t", messages=1)
    scenario.send(ASKER, Kind.SEND, "t", id=10, body=b"second")
    assert [frame.body for frame in scenario.take(OTHER)] == [b"second"]
    scenario.say(HANDLER, Frame(Kind.DRAIN))
    scenario.send(ASKER, Kind.SEND, "t", id=11, body=b"third")
    scenario.say(HANDLER, Frame(Kind.NACK, id=first.id, detail=Code.HANDLER_LOST))
    for delivery_id in (1, 2):
        scenario.say(OTHER, Frame(Kind.ACK, id=delivery_id))
    assert [frame.body for frame in scenario.take(OTHER)] == [b"", b"third"]


@pytest.mark.parametrize(("kind", "fields"), [("command", {}), ("query", {}), ("event", {"group": "g"})])
def test_what_is_handed_back_goes_to_one_who_came_when_all_had_left(kind: str, fields: dict[str, Any]) -> None:
    verb = {"command": Kind.SEND, "query": Kind.ASK, "event": Kind.PUBLISH}[kind]
    scenario = Scenario("orders", "stock", "stock")
    scenario.subscribe(HANDLER, 1, kind, "t", **fields)
    for number in (9, 10):
        scenario.send(ASKER, verb, "t", id=number, body=b"%d" % number)
    scenario.say(HANDLER, Frame(Kind.DRAIN))
    first, second, _ = scenario.take(HANDLER)
    scenario.subscribe(OTHER, 5, kind, "t", **fields)
    scenario.send(ASKER, verb, "t", id=11, body=b"11")
    for each in (first, second):
        scenario.say(HANDLER, Frame(Kind.NACK, id=each.id, detail=Code.HANDLER_LOST))
    assert [(frame.kind, frame.channel, frame.body) for frame in scenario.take(OTHER)] == [
        (Kind.DELIVER, 5, b"11"), (Kind.DELIVER, 5, b"9"), (Kind.DELIVER, 5, b"10")
    ]  # fmt: skip
    assert scenario.router.counters.lost_commands == 0


def test_what_a_command_hands_back_goes_to_no_other_service() -> None:
    scenario = Scenario("orders", "stock", "archive")
    scenario.subscribe(HANDLER, 1, "command", "t")
    scenario.send(ASKER, Kind.SEND, "t", id=9)
    scenario.say(HANDLER, Frame(Kind.DRAIN))
    scenario.subscribe(OTHER, 1, "command", "t")
    scenario.say(HANDLER, Frame(Kind.NACK, id=1, detail=Code.HANDLER_LOST))
    assert scenario.take(OTHER) == []
    assert scenario.router.counters.lost_commands == 1


def test_what_is_handed_back_when_all_have_left_is_counted_as_lost() -> None:
    scenario = asked(kind="command")
    scenario.say(HANDLER, Frame(Kind.DRAIN))
    scenario.say(HANDLER, Frame(Kind.NACK, id=1, detail=Code.HANDLER_LOST))
    assert scenario.router.counters.lost_commands == 1


def test_what_waits_again_when_the_last_one_leaves_is_counted_as_lost() -> None:
    scenario = asked(kind="command")
    scenario.subscribe(OTHER, 1, "command", "t", messages=1)
    scenario.send(ASKER, Kind.SEND, "t", id=10)
    scenario.say(HANDLER, Frame(Kind.DRAIN))
    scenario.say(HANDLER, Frame(Kind.NACK, id=1, detail=Code.HANDLER_LOST))
    assert scenario.router.counters.lost_commands == 0
    scenario.say(OTHER, Frame(Kind.DRAIN))
    assert scenario.router.counters.lost_commands == 1
    assert scenario.kinds(ASKER) == ["CONFIRM", "CONFIRM"]


def test_credit_that_crossed_an_unsubscribe_is_no_error() -> None:
    scenario = Scenario("publisher", "subscriber")
    scenario.subscribe(2, 1, "event", "e")
    scenario.say(2, Frame(Kind.UNSUBSCRIBE, channel=1, id=2))
    scenario.say(2, Frame(Kind.CREDIT, channel=1, detail=1, id=10))
    assert scenario.kinds(2) == ["CONFIRM"]


def test_nothing_is_given_to_a_peer_on_its_way_out() -> None:
    for word in (Frame(Kind.DRAIN), None):
        scenario = Scenario("asker", "handler", "handler")
        for client, channel in ((HANDLER, 1), (HANDLER, 2), (OTHER, 1)):
            scenario.subscribe(client, channel, "event", "e", group="g", messages=1)
        # One more than there are places.
        for _ in range(4):
            scenario.send(ASKER, Kind.PUBLISH, "e")
        scenario.take(HANDLER)
        if word is None:
            scenario.leave(HANDLER)
        else:
            scenario.say(HANDLER, word)
        assert "DELIVER" not in scenario.kinds(HANDLER)
        scenario.say(OTHER, Frame(Kind.ACK, id=1))
        assert scenario.kinds(OTHER) == ["DELIVER", "DELIVER"]


@pytest.mark.parametrize(
    "frame",
    [
        Frame.of(Kind.ASK, id=5, flags=Flag.EVERY | Flag.STREAM, topic=b"t", header=b"\x81\xa2id\xa1m"),
        Frame.of(Kind.SUBSCRIBE, id=5, channel=5, flags=Flag.DURABLE, topic=b"t", header=b"\x81\xa4kind\xa5event"),
        Frame(Kind.ACK, id=1, flags=Flag.CUMULATIVE),
    ],
)
def test_what_is_reserved_is_refused_and_never_ignored(frame: Frame) -> None:
    scenario = asked()
    scenario.take(HANDLER)
    scenario.say(HANDLER, frame)
    (error,) = scenario.take(HANDLER)
    assert (error.kind, error.detail) == (Kind.ERROR, Code.UNSUPPORTED)


def test_requests_are_numbered_from_one() -> None:
    scenario = Scenario("asker", "handler")
    scenario.subscribe(HANDLER, 1, "query", "t")
    scenario.send(ASKER, Kind.ASK, "t", id=0)
    assert scenario.kinds(ASKER) == ["ERROR"]
    assert scenario.take(HANDLER) == []


def test_a_reply_says_who_replied() -> None:
    scenario = asked()
    scenario.say(HANDLER, Frame.of(Kind.REPLY, id=1, flags=Flag.FAILED, detail=300, header=b"\x81\xa6reason\xa1x"))
    (answer,) = scenario.take(ASKER)
    assert decode_header(answer.stamp) == {"from": "handler"}
    assert (answer.flags, answer.detail, decode_header(answer.header)) == (Flag.FAILED, 300, {"reason": "x"})


def test_an_answered_message_is_kept_by_nothing() -> None:
    """Its deadline may be far away: the heap knows the request until then, but no longer the body."""
    scenario = Scenario("asker", "handler")
    scenario.subscribe(HANDLER, 1, "query", "t")
    question = Frame.of(Kind.ASK, id=9, ttl=1_000_000, topic=b"t", header=encode_envelope(Envelope("m")))
    ours = sys.getrefcount(question)
    gc.disable()
    try:
        scenario.say(ASKER, question)
        assert sys.getrefcount(question) > ours
        scenario.say(HANDLER, Frame(Kind.REPLY, id=1))
        assert sys.getrefcount(question) == ours
    finally:
        gc.enable()


def test_whose_connection_is_lost_counts_as_one_who_left() -> None:
    scenario = asked()
    scenario.send(ASKER, Kind.ASK, "t", id=10)
    scenario.leave(ASKER)
    assert scenario.router.counters.cancelled == 2
