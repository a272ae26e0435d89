"""Events and batches of them: who gets them, in which form, and when it ends."""

import pytest

from cqrsbus.errors import Code
from cqrsbus.routing.router import Router
from cqrsbus.wire.batch import singles
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.stamp import stamp_of
from tests.routing.scenario import Scenario
from tests.wire.batches import batch, numbered_header

PUBLISHER, LISTENER = 1, 2


def events(count: int) -> Frame:
    frames = [
        Frame.of(Kind.PUBLISH, topic=b"e", header=numbered_header(number), body=b"%d" % number)
        for number in range(count)
    ]
    return batch(*frames)


def bodies(told: list[Frame]) -> list[bytes]:
    found: list[bytes] = []
    for frame in told:
        found += [single.body for single in singles(frame)] if frame.flags & Flag.BATCH else [frame.body]
    return found


@pytest.fixture
def scenario() -> Scenario:
    return Scenario("shop", "desk", max_queue_messages=3)


def test_a_batch_is_passed_on_as_it_came_to_who_takes_batches(scenario: Scenario) -> None:
    scenario.subscribe(LISTENER, 1, "event", "e", batches=True)
    said = events(5)
    scenario.say(PUBLISHER, said)
    (told,) = scenario.take(LISTENER)
    assert (told.kind, told.flags, told.detail, told.channel) == (Kind.DELIVER, Flag.BATCH, 5, 1)
    assert told.tail == said.tail
    assert scenario.router.counters.published == scenario.router.counters.delivered == 5


@pytest.mark.parametrize("fields", [{}, {"batches": False}, {"group": "g"}, {"group": "g", "batches": True}])
def test_all_others_get_its_events_one_by_one(scenario: Scenario, fields: dict[str, object]) -> None:
    scenario.subscribe(LISTENER, 1, "event", "e", **fields)
    scenario.say(PUBLISHER, events(3))
    told = scenario.take(LISTENER)
    assert [frame.flags for frame in told] == [Flag.NEEDS_ACK if "group" in fields else Flag.NONE] * 3
    assert bodies(told) == [b"0", b"1", b"2"]


def test_as_much_of_a_batch_is_given_as_there_is_credit_for(scenario: Scenario) -> None:
    scenario.subscribe(LISTENER, 1, "event", "e", batches=True, messages=2)
    scenario.say(PUBLISHER, events(5))
    assert bodies(scenario.take(LISTENER)) == [b"0", b"1"]
    scenario.say(LISTENER, Frame(Kind.CREDIT, channel=1, detail=1, id=1))
    assert bodies(scenario.take(LISTENER)) == [b"2"]
    scenario.say(LISTENER, Frame(Kind.CREDIT, channel=1, detail=2, id=1))
    assert bodies(scenario.take(LISTENER)) == [b"3", b"4"]


def test_credit_in_bytes_counts_as_for_single_events(scenario: Scenario) -> None:
    size = len(b"e") + len(numbered_header(0)) + 1
    scenario.subscribe(LISTENER, 1, "event", "e", batches=True, bytes=2 * size)
    scenario.say(PUBLISHER, events(5))
    assert bodies(scenario.take(LISTENER)) == [b"0", b"1"]
    scenario.say(LISTENER, Frame(Kind.CREDIT, channel=1, detail=1, id=size - 1))
    assert bodies(scenario.take(LISTENER)) == [b"2"]


def test_the_rest_of_a_batch_is_before_what_came_later() -> None:
    scenario = Scenario("shop", "desk")
    scenario.subscribe(LISTENER, 1, "event", "e", batches=True, messages=2)
    for _ in range(2):
        scenario.say(PUBLISHER, events(3))
    seen = bodies(scenario.take(LISTENER))
    for _ in range(4):
        scenario.say(LISTENER, Frame(Kind.CREDIT, channel=1, detail=1, id=100))
        seen += bodies(scenario.take(LISTENER))
    assert seen == [b"0", b"1", b"2"] * 2


def test_a_batch_keeps_its_time_and_its_sender_in_parts(scenario: Scenario) -> None:
    scenario.subscribe(LISTENER, 1, "event", "e", batches=True, messages=2)
    said = events(3)
    said.ttl = 1000
    scenario.say(PUBLISHER, said)
    scenario.now = 0.5
    scenario.say(LISTENER, Frame(Kind.CREDIT, channel=1, detail=1, id=100))
    first, rest = scenario.take(LISTENER)
    assert (first.ttl, rest.ttl) == (1000, 500)
    assert first.stamp == rest.stamp == stamp_of("shop")


def test_what_is_taken_one_by_one_is_made_once_for_all() -> None:
    scenario = Scenario("shop", "desk")
    for channel in (1, 2):
        scenario.subscribe(LISTENER, channel, "event", "e")
    scenario.say(PUBLISHER, events(1))
    one, other = scenario.take(LISTENER)
    assert one.tail is other.tail


def test_a_header_that_a_broker_does_not_take_it_does_not_take_in_a_batch_either() -> None:
    router = Router(max_header=4)
    router.attach(1, "shop", "shop-1")
    ((_, told),) = router.receive(1, events(1), 0.0)
    assert (told.kind, told.detail) == (Kind.ERROR, Code.BAD_FRAME)


@pytest.mark.parametrize("batches", [True, False])
def test_who_cannot_take_a_batch_is_cut_off_once(scenario: Scenario, batches: bool) -> None:
    scenario.subscribe(LISTENER, 1, "event", "e", messages=1, batches=batches)
    scenario.say(PUBLISHER, events(60))
    told = scenario.take(LISTENER)
    assert [frame.kind for frame in told] == [Kind.DELIVER, Kind.ERROR]
    assert told[-1].detail == Code.SLOW_CONSUMER
    # Those that waited, the one that found no room, and those behind it.
    assert scenario.router.counters.dropped_events == 59


def test_a_group_loses_what_its_queue_does_not_take(scenario: Scenario) -> None:
    scenario.subscribe(LISTENER, 1, "event", "e", group="g", messages=1)
    scenario.say(PUBLISHER, events(10))
    assert bodies(scenario.take(LISTENER)) == [b"0"]
    assert scenario.router.counters.dropped_events == 6


def test_a_malformed_batch_ends_the_connection_and_reaches_nobody(scenario: Scenario) -> None:
    scenario.subscribe(LISTENER, 1, "event", "e", batches=True)
    said = events(2)
    said.tail += b"\x00"
    scenario.say(PUBLISHER, said)
    (told,) = scenario.take(PUBLISHER)
    assert (told.kind, told.detail) == (Kind.ERROR, Code.BAD_FRAME)
    assert scenario.take(LISTENER) == []


def test_an_event_whose_time_was_over_when_its_turn_came_is_counted() -> None:
    scenario = Scenario("orders", "stock")
    scenario.subscribe(2, 1, "event", "t", group="g", messages=1)
    for _ in range(3):
        scenario.send(1, Kind.PUBLISH, "t", ttl=10)
    scenario.wait(1.0)
    scenario.say(2, Frame(Kind.ACK, id=1))
    counters = scenario.router.counters
    assert (counters.delivered, counters.expired, counters.dropped_events) == (1, 2, 0)


def test_what_comes_for_one_who_was_cut_off_is_counted() -> None:
    scenario = Scenario("orders", "stock", max_queue_messages=2)
    scenario.subscribe(2, 1, "event", "t", messages=1)
    for _ in range(6):
        scenario.send(1, Kind.PUBLISH, "t")
    counters = scenario.router.counters
    assert (counters.published, counters.delivered, counters.dropped_events) == (6, 1, 5)
