"""Queues, windows, and who is given up: the courier's rules, one story each."""

import pytest

from cqrsbus.errors import Code
from cqrsbus.wire.frames import Frame, Kind
from tests.routing.scenario import Scenario, reason

#: A frame of this test: head 28, topic 1, header 6.
EVENT = 35
PUBLISHER, SUBSCRIBER, OTHER = 1, 2, 3


def congested(*, group: str = "", **limits: object) -> Scenario:
    """One event is in hand, two of four places are taken, and the publisher is held back."""
    limits = {"max_queue_messages": 4, "publish_window": 200, "stall_timeout": 10.0, **limits}
    scenario = Scenario("p", "s", "o", **limits)
    fields: dict[str, object] = {"group": group} if group else {}
    assert scenario.subscribe(SUBSCRIBER, 1, "event", "e", messages=1, **fields).kind == Kind.CONFIRM
    for _ in range(3):
        scenario.send(PUBLISHER, Kind.PUBLISH, "e")
    assert scenario.kinds(SUBSCRIBER) == ["DELIVER"]
    return scenario


def progress(scenario: Scenario) -> None:
    scenario.say(SUBSCRIBER, Frame(Kind.CREDIT, channel=1, detail=1, id=EVENT - 28))


def test_the_window_is_returned_at_half() -> None:
    scenario = Scenario("p", publish_window=4 * EVENT)
    scenario.send(PUBLISHER, Kind.PUBLISH, "e")
    assert scenario.take(PUBLISHER) == []
    scenario.send(PUBLISHER, Kind.PUBLISH, "e")
    assert scenario.take(PUBLISHER) == [Frame(Kind.CREDIT, id=2 * EVENT)]


def test_refused_events_return_the_window_too() -> None:
    scenario = Scenario("p", publish_window=4 * EVENT)
    for _ in range(10):
        scenario.send(PUBLISHER, Kind.PUBLISH, "*", id=7)
    told = scenario.take(PUBLISHER)
    assert [frame.id for frame in told if frame.kind == Kind.REJECT] == [7] * 10
    assert sum(frame.id for frame in told if frame.kind == Kind.CREDIT) == 10 * EVENT


def test_a_publisher_is_held_back_until_a_quarter_is_left() -> None:
    scenario = congested()
    scenario.send(PUBLISHER, Kind.PUBLISH, "e")
    assert scenario.take(PUBLISHER) == []
    for _ in range(2):
        progress(scenario)
        assert scenario.take(PUBLISHER) == []
    progress(scenario)
    assert scenario.take(PUBLISHER) == [Frame(Kind.CREDIT, id=4 * EVENT)]
    assert scenario.kinds(SUBSCRIBER) == ["DELIVER"] * 3


def test_who_publishes_beyond_the_window_is_sent_away() -> None:
    scenario = congested(publish_window=3 * EVENT)
    assert scenario.take(PUBLISHER) == [Frame(Kind.CREDIT, id=2 * EVENT)]
    for _ in range(2):
        scenario.send(PUBLISHER, Kind.PUBLISH, "e")
    assert scenario.take(PUBLISHER) == []
    scenario.send(PUBLISHER, Kind.PUBLISH, "e")
    (error,) = scenario.take(PUBLISHER)
    assert (error.kind, error.detail) == (Kind.ERROR, Code.WINDOW_EXCEEDED)


def test_a_subscriber_that_stalls_is_cut_off_and_nobody_else() -> None:
    scenario = congested()
    scenario.subscribe(OTHER, 1, "event", ">")
    scenario.send(PUBLISHER, Kind.PUBLISH, "e")
    scenario.wait(9.9)
    assert scenario.take(SUBSCRIBER) == []
    scenario.wait(0.2)
    (error,) = scenario.take(SUBSCRIBER)
    assert (error.kind, error.detail) == (Kind.ERROR, Code.SLOW_CONSUMER)
    assert "'e'" in reason(error)
    assert scenario.kinds(OTHER) == ["DELIVER"]
    assert scenario.kinds(PUBLISHER) == ["CREDIT"]
    assert scenario.router.counters.dropped_events == 3


def test_progress_puts_the_end_off() -> None:
    scenario = congested()
    scenario.send(PUBLISHER, Kind.PUBLISH, "e")
    scenario.wait(9.0)
    progress(scenario)
    scenario.wait(9.0)
    assert scenario.kinds(SUBSCRIBER) == ["DELIVER"]
    scenario.wait(1.0)
    assert scenario.kinds(SUBSCRIBER) == ["ERROR"]


def test_a_group_that_stalls_loses_what_waits_and_it_is_counted() -> None:
    scenario = congested(group="g")
    scenario.wait(10.0)
    assert scenario.take(SUBSCRIBER) == []
    assert scenario.router.counters.dropped_events == 2
    assert scenario.kinds(PUBLISHER) == ["CREDIT"]
    assert scenario.router.next_deadline is None


def test_no_subscriber_is_given_up_for_a_publisher_that_has_left() -> None:
    scenario = congested()
    scenario.leave(PUBLISHER)
    for _ in range(3):
        progress(scenario)
    scenario.wait(60.0)
    assert scenario.kinds(SUBSCRIBER) == ["DELIVER", "DELIVER"]
    assert scenario.router.next_deadline is None


def test_a_subscriber_over_its_bound_is_cut_off_at_once() -> None:
    scenario = congested(publish_window=10_000)
    for _ in range(3):
        scenario.send(PUBLISHER, Kind.PUBLISH, "e")
    assert scenario.kinds(SUBSCRIBER) == ["ERROR"]


def test_a_full_group_drops_and_still_holds_the_publisher_back() -> None:
    scenario = congested(group="g", publish_window=12 * EVENT)
    for _ in range(2):
        scenario.send(PUBLISHER, Kind.PUBLISH, "e")
    for _ in range(7):
        scenario.send(OTHER, Kind.PUBLISH, "e")
    assert scenario.router.counters.dropped_events == 7
    assert scenario.take(OTHER) == []


@pytest.mark.parametrize(("kind", "verb"), [("command", Kind.SEND), ("query", Kind.ASK)])
@pytest.mark.parametrize("limits", [{"max_queue_messages": 2}, {"max_queue_bytes": 230}])
def test_a_full_queue_refuses_its_callers(kind: str, verb: int, limits: dict[str, int]) -> None:
    scenario = Scenario("p", "s", **limits)
    scenario.subscribe(SUBSCRIBER, 1, kind, "t", messages=1)
    for number in range(1, 5):
        scenario.send(PUBLISHER, verb, "t", id=number, body=bytes(100))
    (refusal,) = (frame for frame in scenario.take(PUBLISHER) if frame.kind == Kind.REJECT)
    assert (refusal.id, refusal.detail) == (4, Code.QUEUE_FULL)
    assert "2 messages" in reason(refusal)


def test_what_waits_too_long_is_never_started() -> None:
    scenario = Scenario("p", "s")
    scenario.subscribe(SUBSCRIBER, 1, "query", "t", messages=1)
    for number, ttl in enumerate((0, 1000, 3000), start=1):
        scenario.send(PUBLISHER, Kind.ASK, "t", id=number, ttl=ttl)
    scenario.now = 2.0
    scenario.say(SUBSCRIBER, Frame(Kind.REPLY, id=1))
    started = scenario.take(SUBSCRIBER)
    assert [(frame.id, frame.ttl) for frame in started] == [(1, 0), (2, 1000)]
    scenario.wait(0.0)
    assert [(frame.kind, frame.id) for frame in scenario.take(PUBLISHER)] == [(Kind.REPLY, 1), (Kind.REJECT, 2)]


def test_even_a_queue_of_one_drains() -> None:
    scenario = Scenario("p", "s", max_queue_messages=1, publish_window=2)
    scenario.subscribe(SUBSCRIBER, 1, "event", "e", messages=1)
    for _ in range(2):
        scenario.send(PUBLISHER, Kind.PUBLISH, "e")
    assert scenario.kinds(PUBLISHER) == ["CREDIT"]
    progress(scenario)
    assert scenario.kinds(PUBLISHER) == ["CREDIT"]
