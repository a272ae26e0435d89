"""Answers that are several: a stream from one handler, and polls of every instance."""

import pytest

from cqrsbus.errors import Code
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import decode_header, encode_header
from tests.routing.scenario import Scenario, reason

ASKER, HANDLER, OTHER = 1, 2, 3
MORE = Flag.MORE


def credit(id: int, items: int, size: int = 1000) -> Frame:
    return Frame(Kind.CREDIT, flags=Flag.OF_STREAM, id=id, detail=items, ttl=size)


def item(id: int, body: bytes = b"", flags: int = MORE) -> Frame:
    return Frame.of(Kind.REPLY, id=id, flags=flags, body=body)


def handled(**limits: int) -> Scenario:
    scenario = Scenario("asker", "handler", "handler", **limits)
    scenario.subscribe(HANDLER, 1, "query", "t")
    return scenario


def streaming(items: int = 2, size: int = 1000) -> Scenario:
    """A handler has begun a stream and may answer so much."""
    scenario = handled()
    scenario.send(ASKER, Kind.ASK, "t", id=9, flags=Flag.STREAM)
    scenario.say(ASKER, credit(9, items, size))
    scenario.take(ASKER)
    scenario.take(HANDLER)
    return scenario


def polled(**head: int) -> Scenario:
    """Two instances have been asked."""
    scenario = handled()
    scenario.subscribe(OTHER, 1, "query", "t")
    scenario.send(ASKER, Kind.ASK, "t", id=9, flags=Flag.EVERY, **head)
    scenario.take(HANDLER)
    scenario.take(OTHER)
    return scenario


class TestStreams:
    def test_a_stream_is_paid_for_as_soon_as_it_is_started(self) -> None:
        scenario = handled()
        scenario.subscribe(HANDLER, 2, "query", "u", messages=1)
        for number in (8, 9):
            scenario.send(ASKER, Kind.ASK, "u", id=number, flags=Flag.STREAM)
            scenario.say(ASKER, credit(number, 3, 50))
            scenario.say(ASKER, credit(number, 4, 50))
        first, *paid = scenario.take(HANDLER)
        assert first.flags == Flag.NEEDS_REPLY | Flag.STREAMED
        assert paid == [credit(1, 3, 50), credit(1, 4, 50)]
        assert scenario.take(ASKER) == [Frame(Kind.CONFIRM, id=8)]
        scenario.say(HANDLER, item(1, flags=0))
        second, *paid = scenario.take(HANDLER)
        assert (second.kind, second.id) == (Kind.DELIVER, 2)
        assert paid == [credit(2, 7, 100)]
        assert scenario.kinds(ASKER) == ["REPLY", "CONFIRM"]

    def test_replies_come_in_order_until_one_says_no_more(self) -> None:
        scenario = streaming()
        for body in (b"one", b"two"):
            scenario.say(HANDLER, item(1, body))
        assert scenario.router.open_requests == 1
        scenario.say(HANDLER, item(1, flags=0))
        answers = scenario.take(ASKER)
        assert [(answer.id, answer.flags, answer.body) for answer in answers] == [
            (9, MORE, b"one"),
            (9, MORE, b"two"),
            (9, 0, b""),
        ]
        assert decode_header(answers[0].stamp) == {"from": "handler"}
        assert scenario.router.open_requests == 0

    def test_an_error_comes_after_what_was_answered_before(self) -> None:
        scenario = streaming()
        scenario.say(HANDLER, item(1, b"one"))
        scenario.say(HANDLER, Frame(Kind.REPLY, id=1, flags=Flag.FAILED, detail=Code.REMOTE_ERROR))
        assert [frame.flags for frame in scenario.take(ASKER)] == [MORE, Flag.FAILED]
        assert scenario.router.open_requests == 0

    @pytest.mark.parametrize(("items", "size"), [(1, 1000), (5, 1)])
    def test_what_is_not_paid_for_ends_the_connection(self, items: int, size: int) -> None:
        scenario = streaming(items, size)
        scenario.say(HANDLER, item(1, b"one"))
        assert scenario.kinds(HANDLER) == []
        scenario.say(HANDLER, item(1, b"two"))
        (error,) = scenario.take(HANDLER)
        assert (error.kind, error.detail) == (Kind.ERROR, Code.WINDOW_EXCEEDED)

    def test_more_can_be_paid_for_at_any_time(self) -> None:
        scenario = streaming(1)
        scenario.say(HANDLER, item(1))
        scenario.say(ASKER, credit(9, 1))
        assert scenario.take(HANDLER) == [credit(1, 1)]
        scenario.say(HANDLER, item(1))
        assert scenario.kinds(HANDLER) == []

    def test_replies_and_bytes_may_be_paid_for_one_after_the_other(self) -> None:
        scenario = handled()
        scenario.subscribe(HANDLER, 2, "query", "u", messages=1)
        for number in (8, 9):
            scenario.send(ASKER, Kind.ASK, "u", id=number, flags=Flag.STREAM)
        scenario.say(ASKER, credit(9, 0, 50))
        scenario.take(HANDLER)
        scenario.say(HANDLER, item(1, flags=0))
        scenario.say(ASKER, credit(9, 2, 0))
        _, *paid = scenario.take(HANDLER)
        assert paid == [credit(2, 0, 50), credit(2, 2, 0)]

    @pytest.mark.parametrize(("items", "size"), [(1, 0), (0, 1)])
    @pytest.mark.parametrize("waits", [True, False])
    def test_a_caller_that_pays_too_far_ahead_harms_nobody_but_itself(self, items: int, size: int, waits: bool) -> None:
        scenario = handled()
        scenario.subscribe(HANDLER, 2, "query", "u", messages=1)
        for number in (8, 9):
            scenario.send(ASKER, Kind.ASK, "u", id=number, flags=Flag.STREAM)
        number = 9 if waits else 8
        scenario.say(ASKER, credit(number, 65535, 2**32 - 1))
        assert scenario.kinds(ASKER) == ["CONFIRM"]
        scenario.say(ASKER, credit(number, items, size))
        (error,) = scenario.take(ASKER)
        assert (error.kind, error.detail) == (Kind.ERROR, Code.BAD_FRAME)
        assert "paid for ahead" in reason(error)
        assert "ERROR" not in scenario.kinds(HANDLER)

    def test_credit_that_crossed_the_end_is_no_error(self) -> None:
        scenario = streaming()
        scenario.say(HANDLER, item(1, flags=0))
        scenario.take(ASKER)
        scenario.say(ASKER, credit(9, 1))
        assert scenario.take(ASKER) == scenario.take(HANDLER) == []

    def test_only_streams_are_paid_for(self) -> None:
        scenario = handled()
        scenario.send(ASKER, Kind.ASK, "t", id=9)
        scenario.say(ASKER, credit(9, 1))
        assert scenario.kinds(ASKER) == ["ERROR"]

    @pytest.mark.parametrize("flags", [MORE, MORE | Flag.FAILED])
    def test_one_answer_has_no_second(self, flags: int) -> None:
        scenario = handled()
        scenario.send(ASKER, Kind.ASK, "t", id=9)
        scenario.take(HANDLER)
        scenario.say(HANDLER, item(1, flags=flags))
        assert scenario.kinds(HANDLER) == ["ERROR"]

    def test_a_caller_that_leaves_stops_the_stream(self) -> None:
        scenario = streaming()
        scenario.say(HANDLER, item(1))
        scenario.say(ASKER, Frame(Kind.CANCEL, id=9))
        assert scenario.take(HANDLER) == [Frame(Kind.CANCEL, id=1)]
        scenario.take(ASKER)
        for flags in (MORE, 0):
            scenario.say(HANDLER, item(1, flags=flags))
        assert scenario.take(ASKER) == scenario.take(HANDLER) == []
        assert scenario.router.counters.late_replies == 2

    def test_what_was_begun_is_not_begun_again(self) -> None:
        for begun in (False, True):
            scenario = streaming()
            scenario.subscribe(OTHER, 1, "query", "t")
            if begun:
                scenario.say(HANDLER, item(1))
            scenario.take(ASKER)
            scenario.say(HANDLER, Frame(Kind.DRAIN))
            scenario.say(HANDLER, Frame(Kind.NACK, id=1, detail=Code.HANDLER_LOST))
            if begun:
                (refusal,) = scenario.take(ASKER)
                assert (refusal.kind, refusal.detail) == (Kind.REJECT, Code.HANDLER_LOST)
            else:
                assert scenario.kinds(ASKER) == ["CONFIRM"]
                delivery, paid = scenario.take(OTHER)
                assert paid == credit(delivery.id, 2)

    def test_the_time_of_a_stream_ends(self) -> None:
        scenario = handled()
        scenario.send(ASKER, Kind.ASK, "t", id=9, flags=Flag.STREAM, ttl=500)
        scenario.take(ASKER)
        scenario.wait(1.0)
        (refusal,) = scenario.take(ASKER)
        assert decode_header(refusal.header)["stage"] == "handler"
        assert [frame.kind for frame in scenario.take(HANDLER)] == [Kind.DELIVER, Kind.CANCEL]


class TestPolls:
    def test_the_caller_learns_whom_it_asked(self) -> None:
        scenario = polled()
        named = scenario.take(ASKER)
        assert [(frame.kind, frame.id, frame.detail) for frame in named] == [
            (Kind.CONFIRM, 9, 1),
            (Kind.CONFIRM, 9, 0),
        ]
        assert [decode_header(frame.stamp)["instance"] for frame in named] == ["handler-2", "handler-3"]

    def test_every_instance_answers_and_then_it_is_over(self) -> None:
        scenario = polled()
        scenario.take(ASKER)
        scenario.say(OTHER, item(1, b"3", flags=0))
        scenario.say(HANDLER, item(1, b"2", flags=0))
        *answers, end = scenario.take(ASKER)
        assert [(decode_header(answer.stamp)["instance"], answer.body) for answer in answers] == [
            ("handler-3", b"3"),
            ("handler-2", b"2"),
        ]
        assert all((answer.id, answer.flags) == (9, MORE) for answer in answers)
        assert end == Frame(Kind.REPLY, id=9)
        assert scenario.router.open_requests == 0

    def test_who_fails_is_told_apart(self) -> None:
        scenario = polled()
        scenario.take(ASKER)
        scenario.say(HANDLER, Frame(Kind.REPLY, id=1, flags=Flag.FAILED, detail=Code.REMOTE_ERROR))
        why = encode_header({"reason": "no time"})
        scenario.say(OTHER, Frame.of(Kind.NACK, id=1, detail=Code.CANCELLED, header=why))
        *failures, end = scenario.take(ASKER)
        assert [(failure.flags, failure.detail) for failure in failures] == [
            (MORE | Flag.FAILED, Code.REMOTE_ERROR),
            (MORE | Flag.FAILED, Code.CANCELLED),
        ]
        assert failures[1].header == why
        assert end == Frame(Kind.REPLY, id=9)

    def test_who_is_gone_is_told(self) -> None:
        for last_words in (None, Frame(Kind.NACK, id=1, detail=Code.HANDLER_LOST)):
            scenario = polled()
            scenario.take(ASKER)
            if last_words is None:
                scenario.leave(OTHER)
            else:
                scenario.say(OTHER, last_words)
            (failure,) = scenario.take(ASKER)
            assert (failure.flags, failure.detail) == (MORE | Flag.FAILED, Code.HANDLER_LOST)
            assert "'handler-3'" in reason(failure)

    def test_when_the_time_is_up_those_who_never_came_are_told(self) -> None:
        scenario = polled(ttl=500)
        scenario.take(ASKER)
        scenario.say(HANDLER, item(1, flags=0))
        scenario.wait(1.0)
        answer, late, end = scenario.take(ASKER)
        assert answer.flags == MORE
        assert (late.flags, late.detail) == (MORE | Flag.FAILED, Code.DEADLINE_EXCEEDED)
        assert decode_header(late.stamp)["instance"] == "handler-3"
        assert end == Frame(Kind.REPLY, id=9)
        assert scenario.take(OTHER) == [Frame(Kind.CANCEL, id=1)]

    def test_losers_are_stopped_when_the_caller_leaves(self) -> None:
        for leave in (lambda s: s.say(ASKER, Frame(Kind.CANCEL, id=9)), lambda s: s.leave(ASKER)):
            scenario = polled()
            scenario.say(HANDLER, item(1, flags=0))
            leave(scenario)
            assert scenario.take(OTHER) == [Frame(Kind.CANCEL, id=1)]
            assert scenario.take(HANDLER) == []
            assert scenario.router.open_requests == 0

    def test_a_busy_instance_answers_when_it_can(self) -> None:
        scenario = Scenario("asker", "handler", "handler")
        scenario.subscribe(HANDLER, 1, "query", "t", messages=1)
        for number in (8, 9):
            scenario.send(ASKER, Kind.ASK, "t", id=number, flags=Flag.EVERY, body=b"%d" % number)
        assert [frame.body for frame in scenario.take(HANDLER)] == [b"8"]
        scenario.say(HANDLER, item(1, flags=0))
        assert [frame.body for frame in scenario.take(HANDLER)] == [b"9"]

    def test_an_instance_that_hands_something_back_is_asked_first(self) -> None:
        for others in (0, 1):
            scenario = Scenario("asker", "handler", "handler")
            scenario.subscribe(HANDLER, 1, "query", "t", messages=1)
            scenario.send(ASKER, Kind.ASK, "t", id=8, body=b"8")
            scenario.send(ASKER, Kind.ASK, "t", id=9, flags=Flag.EVERY, body=b"9")
            if others:
                scenario.subscribe(OTHER, 1, "query", "t", messages=1)
            scenario.say(HANDLER, Frame(Kind.NACK, id=1, detail=Code.HANDLER_LOST))
            assert [frame.body for frame in scenario.take(HANDLER)] == [b"8", b"9"]
            assert [frame.body for frame in scenario.take(OTHER)] == [b"8"] * others

    @pytest.mark.parametrize("end", ["cancel", "leave", "expire", "unsubscribe"])
    def test_what_waits_for_a_busy_instance_can_end(self, end: str) -> None:
        scenario = Scenario("asker", "handler", "handler")
        scenario.subscribe(HANDLER, 1, "query", "t", messages=1)
        scenario.send(ASKER, Kind.ASK, "t", id=8)
        scenario.send(ASKER, Kind.ASK, "t", id=9, flags=Flag.EVERY, ttl=500)
        scenario.take(HANDLER)
        scenario.take(ASKER)
        match end:
            case "cancel":
                scenario.say(ASKER, Frame(Kind.CANCEL, id=9))
            case "leave":
                scenario.leave(HANDLER)
            case "expire":
                scenario.wait(1.0)
            case _:
                scenario.say(HANDLER, Frame(Kind.UNSUBSCRIBE, channel=1, id=2))
        told = [(frame.id, frame.flags, frame.detail) for frame in scenario.take(ASKER)]
        failed = MORE | Flag.FAILED
        assert (
            told
            == {
                "cancel": [],
                "leave": [(9, failed, Code.HANDLER_LOST), (9, 0, 0), (8, 0, Code.HANDLER_LOST)],
                "expire": [(9, failed, Code.DEADLINE_EXCEEDED), (9, 0, 0)],
                "unsubscribe": [(9, failed, Code.HANDLER_LOST), (9, 0, 0)],
            }[end]
        )
        if end != "leave":
            scenario.say(HANDLER, item(1, flags=0))
            assert "DELIVER" not in scenario.kinds(HANDLER)

    def test_too_much_for_one_instance_is_refused_for_that_one(self) -> None:
        scenario = Scenario("asker", "handler", "handler", max_queue_messages=1)
        scenario.subscribe(HANDLER, 1, "query", "t", messages=1)
        scenario.subscribe(OTHER, 1, "query", "t", messages=10)
        for number in (7, 8, 9):
            scenario.take(ASKER)
            scenario.send(ASKER, Kind.ASK, "t", id=number, flags=Flag.EVERY)
        *_, refusal = scenario.take(ASKER)
        assert (refusal.id, refusal.flags, refusal.detail) == (9, MORE | Flag.FAILED, Code.QUEUE_FULL)
        assert len(scenario.take(OTHER)) == 3

    def test_nobody_to_ask_is_an_error(self) -> None:
        scenario = Scenario("asker")
        scenario.send(ASKER, Kind.ASK, "t", id=9, flags=Flag.EVERY)
        (refusal,) = scenario.take(ASKER)
        assert (refusal.kind, refusal.detail) == (Kind.REJECT, Code.NO_HANDLER)

    def test_a_poll_takes_no_credit(self) -> None:
        scenario = polled()
        scenario.take(ASKER)
        scenario.say(ASKER, credit(9, 1))
        assert scenario.kinds(ASKER) == ["ERROR"]
