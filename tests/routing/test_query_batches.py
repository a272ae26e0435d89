"""Queries that come in one frame: each is routed by itself, and what goes the same way goes in one frame again."""

from dataclasses import dataclass

import pytest

from cqrsbus.errors import Code
from cqrsbus.routing.router import Router
from cqrsbus.wire.batch import answers, check_batch, singles
from cqrsbus.wire.frames import MAX_U64, Flag, Frame, Kind
from cqrsbus.wire.header import encode_header
from cqrsbus.wire.stamp import stamp_of
from tests.routing.scenario import Scenario, reason
from tests.wire.batches import batch, numbered_header

ASKER, HANDLER, OTHER = 1, 2, 3


def queries(count: int, *, first: int = 10, ttl: int = 1000) -> Frame:
    return batch(
        *(
            Frame.of(Kind.ASK, topic=b"q", header=numbered_header(id), body=b"%d" % id, id=id, ttl=ttl)
            for id in range(first, first + count)
        )
    )


def replies(first: int, count: int, header: bytes = b"") -> Frame:
    return batch(
        *(Frame.of(Kind.REPLY, id=id, header=header, body=b"re %d" % id) for id in range(first, first + count))
    )


@dataclass
class Heard:
    """What was in the frames that somebody was told, and how many were in each."""

    frames: list[Frame]

    @property
    def sizes(self) -> list[int]:
        return [frame.detail if frame.flags & Flag.BATCH else 1 for frame in self.frames]

    @property
    def numbered(self) -> list[tuple[int, bytes]]:
        found: list[Frame] = []
        for frame in self.frames:
            if not frame.flags & Flag.BATCH:
                found.append(frame)
            elif frame.kind == Kind.REPLY:
                found += answers(frame)
            else:
                check_batch(frame)
                found += singles(frame)
        return [(frame.id, frame.body) for frame in found]


def heard(scenario: Scenario, client: int) -> Heard:
    return Heard(scenario.take(client))


@pytest.fixture
def scenario() -> Scenario:
    made = Scenario("asker", "handler", "handler")
    made.subscribe(HANDLER, 1, "query", "q", batches=True)
    return made


def test_they_are_passed_on_as_they_came_and_so_are_the_answers(scenario: Scenario) -> None:
    asked = queries(5)
    scenario.say(ASKER, asked)
    (given,) = scenario.take(HANDLER)
    assert (given.kind, given.flags, given.detail) == (Kind.DELIVER, Flag.BATCH | Flag.NEEDS_REPLY, 5)
    assert (given.channel, given.id, given.ttl, given.stamp) == (1, 1, 1000, stamp_of("asker"))
    assert (given.tail, given.topic_size, given.header_size) == (asked.tail, asked.topic_size, asked.header_size)
    header = encode_header({"ct": "application/json"})
    answered = replies(1, 5, header)
    scenario.say(HANDLER, answered)
    (told,) = scenario.take(ASKER)
    assert (told.kind, told.flags, told.detail, told.id) == (Kind.REPLY, Flag.BATCH, 5, 10)
    assert (told.stamp, told.tail, told.header_size) == (stamp_of("handler"), answered.tail, len(header))
    counters = scenario.router.counters
    assert (counters.asked, counters.delivered, counters.replied) == (5, 5, 5)
    assert scenario.router.open_requests == 0
    assert scenario.router.next_deadline is None


def test_who_does_not_take_batches_gets_them_one_by_one_and_may_answer_all_the_same() -> None:
    scenario = Scenario("asker", "handler")
    scenario.subscribe(HANDLER, 1, "query", "q")
    scenario.say(ASKER, queries(3))
    given = heard(scenario, HANDLER)
    assert [frame.flags for frame in given.frames] == [Flag.NEEDS_REPLY] * 3
    assert [(frame.header, frame.body) for frame in given.frames] == [
        (numbered_header(id), b"%d" % id) for id in (10, 11, 12)
    ]
    scenario.say(HANDLER, replies(1, 3))
    assert heard(scenario, ASKER).sizes == [3]


def test_who_did_not_ask_in_a_batch_is_not_answered_in_one(scenario: Scenario) -> None:
    for id in (10, 11):
        scenario.say(ASKER, Frame.of(Kind.ASK, topic=b"q", header=numbered_header(id), id=id))
    scenario.say(HANDLER, replies(1, 2))
    assert [(frame.flags, frame.id, frame.body) for frame in scenario.take(ASKER)] == [
        (0, 10, b"re 1"),
        (0, 11, b"re 2"),
    ]


def test_what_takes_turns_is_not_joined(scenario: Scenario) -> None:
    scenario.subscribe(OTHER, 1, "query", "q", batches=True)
    scenario.say(ASKER, queries(4))
    assert heard(scenario, HANDLER).numbered == [(1, b"10"), (2, b"12")]
    given = heard(scenario, OTHER)
    assert given.numbered == [(1, b"11"), (2, b"13")]
    assert given.sizes == [1, 1]


def test_answers_of_several_batches_and_callers_go_where_they_belong() -> None:
    scenario = Scenario("asker", "handler", "asker")
    scenario.subscribe(HANDLER, 1, "query", "q", batches=True)
    for asker, first in ((ASKER, 10), (OTHER, 10), (ASKER, 12), (ASKER, 20)):
        scenario.say(asker, queries(2, first=first))
    scenario.say(HANDLER, replies(1, 8))
    told = heard(scenario, ASKER)
    assert told.numbered == [(10, b"re 1"), (11, b"re 2"), (12, b"re 5"), (13, b"re 6"), (20, b"re 7"), (21, b"re 8")]
    assert told.sizes == [2, 2, 2]
    assert heard(scenario, OTHER).numbered == [(10, b"re 3"), (11, b"re 4")]


def test_one_that_is_cancelled_answered_or_fails_is_so_by_itself(scenario: Scenario) -> None:
    scenario.say(ASKER, queries(5))
    scenario.take(HANDLER)
    scenario.say(ASKER, Frame(Kind.CANCEL, id=11))
    assert [(frame.kind, frame.id) for frame in scenario.take(HANDLER)] == [(Kind.CANCEL, 2)]
    scenario.say(HANDLER, Frame(Kind.NACK, id=3, detail=Code.CANCELLED))
    scenario.say(HANDLER, Frame(Kind.REPLY, id=4, flags=Flag.FAILED, detail=Code.REMOTE_ERROR))
    assert [(frame.kind, frame.id, frame.flags, frame.detail) for frame in scenario.take(ASKER)] == [
        (Kind.REJECT, 12, 0, Code.CANCELLED),
        (Kind.REPLY, 13, Flag.FAILED, Code.REMOTE_ERROR),
    ]
    scenario.say(HANDLER, replies(1, 5))
    told = heard(scenario, ASKER)
    assert told.numbered == [(10, b"re 1"), (14, b"re 5")]
    assert scenario.router.counters.late_replies == 3


def test_one_that_is_handed_back_is_given_again_by_itself(scenario: Scenario) -> None:
    scenario.say(ASKER, queries(3))
    scenario.take(HANDLER)
    scenario.say(HANDLER, Frame(Kind.NACK, id=2, detail=Code.HANDLER_LOST))
    (again,) = scenario.take(HANDLER)
    assert (again.flags, again.id, again.header, again.body) == (Flag.NEEDS_REPLY, 4, numbered_header(11), b"11")


def test_what_waits_for_credit_is_joined_when_it_comes() -> None:
    scenario = Scenario("asker", "handler")
    scenario.subscribe(HANDLER, 1, "query", "q", batches=True, messages=2)
    scenario.say(ASKER, queries(6))
    scenario.now = 0.25
    assert heard(scenario, HANDLER).numbered == [(1, b"10"), (2, b"11")]
    scenario.say(HANDLER, replies(1, 2))
    given = heard(scenario, HANDLER)
    assert (given.numbered, given.sizes, given.frames[0].ttl) == ([(3, b"12"), (4, b"13")], [2], 750)
    assert heard(scenario, ASKER).sizes == [2]


@pytest.mark.parametrize("cancelled", [True, False], ids=["with a gap", "of two batches"])
def test_what_does_not_follow_is_not_joined(cancelled: bool) -> None:
    scenario = Scenario("asker", "handler")
    scenario.subscribe(HANDLER, 1, "query", "q", batches=True, messages=2)
    scenario.say(ASKER, queries(2))
    scenario.say(ASKER, queries(3 if cancelled else 1, first=20))
    if cancelled:
        scenario.say(ASKER, Frame(Kind.CANCEL, id=21))
    else:
        scenario.say(ASKER, queries(1, first=22))
    scenario.take(HANDLER)
    scenario.say(HANDLER, replies(1, 2))
    told = scenario.take(HANDLER)
    assert [(frame.flags, frame.id, frame.header, frame.body) for frame in told] == [
        (Flag.NEEDS_REPLY, 3, numbered_header(20), b"20"),
        (Flag.NEEDS_REPLY, 4, numbered_header(22), b"22"),
    ]


def test_what_has_expired_while_it_waited_is_not_started() -> None:
    scenario = Scenario("asker", "handler")
    scenario.subscribe(HANDLER, 1, "query", "q", batches=True, messages=2)
    scenario.say(ASKER, queries(4))
    scenario.take(HANDLER)
    scenario.wait(1.0)
    assert [(frame.kind, frame.id) for frame in scenario.take(ASKER)] == [(Kind.REJECT, id) for id in range(10, 14)]
    assert [(frame.kind, frame.id) for frame in scenario.take(HANDLER)] == [(Kind.CANCEL, 1), (Kind.CANCEL, 2)]
    scenario.say(HANDLER, replies(1, 2))
    assert scenario.take(HANDLER) == scenario.take(ASKER) == []


def test_as_many_are_refused_as_are_too_many() -> None:
    scenario = Scenario("asker", "handler", max_open_requests=2)
    scenario.subscribe(HANDLER, 1, "query", "q", batches=True)
    scenario.say(ASKER, queries(4))
    assert heard(scenario, HANDLER).numbered == [(1, b"10"), (2, b"11")]
    assert [(f.kind, f.id, f.detail) for f in scenario.take(ASKER)] == [
        (Kind.REJECT, id, Code.QUEUE_FULL) for id in (12, 13)
    ]
    assert scenario.router.counters.rejected == 2


def test_a_number_that_is_in_use_is_found_among_those_that_are_too_many() -> None:
    scenario = Scenario("asker", "handler", max_open_requests=2)
    scenario.subscribe(HANDLER, 1, "query", "q", batches=True)
    scenario.say(ASKER, queries(1, first=12))
    scenario.say(ASKER, queries(4))
    assert [(f.kind, f.detail) for f in scenario.take(ASKER)] == [(Kind.ERROR, Code.BAD_FRAME)]


def test_as_many_are_refused_as_the_queue_has_no_room_for() -> None:
    scenario = Scenario("asker", "handler", max_queue_messages=2)
    scenario.subscribe(HANDLER, 1, "query", "q", batches=True, messages=1)
    scenario.say(ASKER, queries(5))
    assert heard(scenario, HANDLER).numbered == [(1, b"10")]
    told = scenario.take(ASKER)
    assert [(f.kind, f.id, f.detail) for f in told] == [(Kind.REJECT, id, Code.QUEUE_FULL) for id in (13, 14)]
    assert "2 messages" in reason(told[0])
    assert scenario.router.open_requests == 3


@pytest.mark.parametrize(("topic", "code"), [(b"x", Code.NO_HANDLER), (b"a..b", Code.INVALID_TOPIC)])
def test_each_is_told_that_nobody_answers(topic: bytes, code: Code, scenario: Scenario) -> None:
    asked = queries(2)
    asked.tail, asked.topic_size = topic + asked.tail[1:], len(topic)
    scenario.say(ASKER, asked)
    assert [(f.kind, f.id, f.detail) for f in scenario.take(ASKER)] == [(Kind.REJECT, id, code) for id in (10, 11)]
    assert scenario.router.counters.rejected == 2


@pytest.mark.parametrize("gone", [ASKER, HANDLER])
def test_who_leaves_leaves_nothing(gone: int, scenario: Scenario) -> None:
    scenario.say(ASKER, queries(3))
    scenario.take(HANDLER)
    scenario.leave(gone)
    told = [(f.kind, f.id) for f in scenario.take(HANDLER if gone == ASKER else ASKER)]
    assert told == [(Kind.CANCEL, n) for n in (1, 2, 3)] if gone == ASKER else [(Kind.REJECT, n) for n in (10, 11, 12)]
    assert scenario.router.open_requests == 0


def malformed(**changes: object) -> Frame:
    frame = queries(2)
    for name, value in changes.items():
        setattr(frame, name, value)
    return frame


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (malformed(flags=Flag.BATCH | Flag.EVERY), Code.UNSUPPORTED),
        (malformed(flags=Flag.BATCH | Flag.STREAM), Code.UNSUPPORTED),
        (malformed(detail=3), Code.BAD_FRAME),
        (malformed(detail=0), Code.BAD_FRAME),
        (malformed(id=0), Code.BAD_FRAME),
        (malformed(id=MAX_U64), Code.BAD_FRAME),
        (malformed(header_size=3), Code.BAD_FRAME),
    ],
)
def test_what_is_no_batch_of_queries_ends_the_connection(frame: Frame, code: Code, scenario: Scenario) -> None:
    scenario.say(ASKER, frame)
    assert [(told.kind, told.detail) for told in scenario.take(ASKER)] == [(Kind.ERROR, code)]
    assert scenario.take(HANDLER) == []


def test_a_number_that_is_in_use_ends_the_connection(scenario: Scenario) -> None:
    scenario.say(ASKER, queries(2))
    scenario.say(ASKER, queries(3, first=8))
    (told,) = scenario.take(ASKER)
    assert (told.kind, told.detail) == (Kind.ERROR, Code.BAD_FRAME)


def test_a_header_that_a_broker_does_not_take_it_does_not_take_in_a_batch_either() -> None:
    router = Router(max_header=4)
    router.attach(1, "asker", "a-1")
    ((_, told),) = router.receive(1, queries(1), 0.0)
    assert (told.kind, told.detail) == (Kind.ERROR, Code.BAD_FRAME)


def answered(**changes: object) -> Frame:
    frame = replies(1, 2)
    for name, value in changes.items():
        setattr(frame, name, value)
    return frame


@pytest.mark.parametrize(
    "frame",
    [
        answered(flags=Flag.BATCH | Flag.MORE),
        answered(flags=Flag.BATCH | Flag.FAILED),
        answered(detail=3),
        answered(topic_size=1, tail=b"t" + replies(1, 2).tail),
        answered(id=0),
        answered(id=2),
        answered(id=MAX_U64),
        answered(tail=b"\xc1" + replies(1, 2).tail, header_size=1),
    ],
)
def test_what_is_no_batch_of_answers_ends_the_connection(frame: Frame, scenario: Scenario) -> None:
    scenario.say(ASKER, queries(2))
    scenario.take(HANDLER)
    scenario.say(HANDLER, frame)
    assert [(told.kind, told.detail) for told in scenario.take(HANDLER)] == [(Kind.ERROR, Code.BAD_FRAME)]
