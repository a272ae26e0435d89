"""Where deliveries wait: as they came, or one at a time of each key."""

import weakref
from collections import deque
from collections.abc import Callable, Hashable
from typing import Annotated, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel

from cqrsbus.bus.codec import MSGPACK, NOT_READ
from cqrsbus.bus.types import message_type
from cqrsbus.bus.waiting import READ_AHEAD, ArrivalOrder, KeyOrder, Reading
from cqrsbus.links.port import Delivery
from cqrsbus.wire.envelope import Envelope
from tests.bus.deliveries import FakeDelivery


def named(*names: str) -> list[FakeDelivery]:
    return [FakeDelivery(topic=name) for name in names]


def by_first_letter(delivery: Delivery) -> Reading:
    return Reading(delivery.topic[0], delivery.topic)


def waiting(names: str, read: Callable[[Delivery], Reading] = by_first_letter) -> KeyOrder:
    order = KeyOrder(read)
    for each in named(*names.split()):
        order.put([each])
    return order


def taken(order: KeyOrder) -> tuple[str, Reading] | None:
    found = order.take()
    return None if found is None else (found[0].topic, found[1])


def test_arrival_order() -> None:
    order, deliveries = ArrivalOrder(), named("a", "b", "c")
    assert (order.pop(), order.is_ready, len(order)) == (None, False, 0)
    for each in deliveries:
        order.put([each])
    assert order.pop() is deliveries[0]
    assert (order.is_ready, len(order)) == (True, 2)
    assert order.clear() == deliveries[1:]
    assert (order.pop(), order.is_ready, len(order)) == (None, False, 0)


def test_a_few_are_read_at_a_time_and_each_is_told_what_it_was_read_as() -> None:
    order = ArrivalOrder(message_type(int))
    deliveries = [FakeDelivery(number, envelope=Envelope("m-1")) for number in range(READ_AHEAD + 2)]
    order.put(deliveries)
    for number in range(READ_AHEAD + 2):
        assert order.pop() is deliveries[number]
        # Nobody reads what is read already.
        for each in deliveries[:READ_AHEAD] if number < READ_AHEAD else deliveries:
            each.body = b""
        assert order.message() == number
    assert (order.pop(), order.message()) == (None, NOT_READ)


def test_no_more_than_a_few_are_read_at_a_time() -> None:
    order = ArrivalOrder(message_type(int))
    deliveries = [FakeDelivery(number, envelope=Envelope("m-1")) for number in range(2 * READ_AHEAD)]
    order.put(deliveries)
    order.pop()
    deliveries[READ_AHEAD].body = MSGPACK.encode(-1)
    told = [order.message() for _ in deliveries[1:] if order.pop() is not None]
    assert told[READ_AHEAD - 2 : READ_AHEAD + 1] == [READ_AHEAD - 1, -1, READ_AHEAD + 1]


def test_what_it_was_read_as_is_told_once_and_not_kept() -> None:
    class Empty(BaseModel):
        pass

    order = ArrivalOrder(message_type(Empty))
    order.put([FakeDelivery({}, envelope=Envelope("m-1")) for _ in range(2)])
    first, one = order.pop(), order.message()
    assert isinstance(one, Empty)
    kept = weakref.ref(one)
    del one
    assert kept() is None
    assert order.message() is NOT_READ
    # One that nobody asks for is forgotten when the next one comes.
    assert first is not order.pop()
    order.put([FakeDelivery(1)])
    assert (order.pop() is not None, order.message()) == (True, NOT_READ)


def test_what_cannot_be_read_is_left_to_whoever_takes_it() -> None:
    order = ArrivalOrder(message_type(int))
    bodies = [MSGPACK.encode(1), MSGPACK.encode("x"), b"\xc1", MSGPACK.encode(4)]
    order.put([FakeDelivery(body=body, envelope=Envelope("m-1")) for body in bodies])
    told = [order.message() for _ in bodies if order.pop() is not None]
    assert told == [1, NOT_READ, NOT_READ, 4]


@pytest.mark.parametrize("envelope", [None, Envelope("m-1", content_type="text/html")])
def test_what_cannot_be_read_for_what_all_say_of_themselves_is_left_too(envelope: Envelope | None) -> None:
    order = ArrivalOrder(message_type(int))
    order.put([FakeDelivery(number, envelope=envelope) for number in range(3)])
    assert [order.message() for _ in range(3) if order.pop() is not None] == [NOT_READ] * 3


@pytest.mark.parametrize("declared", [None, Annotated[int, AfterValidator(abs)]])
def test_nothing_is_read_where_somebody_could_tell(declared: Any) -> None:
    order = ArrivalOrder(None if declared is None else message_type(declared))
    order.put([FakeDelivery(number, envelope=Envelope("m-1")) for number in range(3)])
    assert [order.message() for _ in range(3) if order.pop() is not None] == [NOT_READ] * 3


def test_one_that_came_alone_is_not_read_ahead() -> None:
    order = ArrivalOrder(message_type(int))
    for number in range(2):
        order.put([FakeDelivery(number, envelope=Envelope("m-1"))])
    assert [order.message() for _ in range(2) if order.pop() is not None] == [NOT_READ] * 2


@given(st.lists(st.integers(0, 2 * READ_AHEAD + 1) | st.sampled_from(["pop", "clear"])))
@example([3, "pop", "clear", 1, "pop"])
@example([3, "pop", "clear", 2, "pop", "pop"])
def test_arrival_order_is_that_of_a_queue(steps: list[int | str]) -> None:
    order, expected = ArrivalOrder(message_type(int)), deque[FakeDelivery]()
    for step in steps:
        if isinstance(step, int):
            came = [FakeDelivery(number, envelope=Envelope("m-1")) for number in range(step)]
            order.put(came)
            expected.extend(came)
        elif step == "pop":
            given = expected.popleft() if expected else None
            assert order.pop() is given
            message = order.message()
            assert message is NOT_READ or (given is not None and MSGPACK.encode(message) == given.body)
        else:
            assert order.clear() == list(expected)
            expected.clear()
        assert (len(order), order.is_ready) == (len(expected), bool(expected))
    assert order.clear() == list(expected)


def test_of_one_key_the_next_is_ready_when_the_first_is_released() -> None:
    order = waiting("a1 a2 b1")
    assert taken(order) == ("a1", Reading("a", "a1"))
    assert taken(order) == ("b1", Reading("b", "b1"))
    assert (taken(order), order.is_ready, len(order)) == (None, False, 1)
    order.release(Reading("b"))
    assert (taken(order), order.is_ready) == (None, False)
    order.release(Reading("a"))
    assert taken(order) == ("a2", Reading("a", "a2"))
    order.release(Reading("a"))
    assert (len(order), order._lanes) == (0, {})


def test_what_comes_for_a_key_that_is_worked_on_waits() -> None:
    order = waiting("a1")
    order.take()
    (late,) = named("a2")
    order.put([late])
    assert (taken(order), len(order)) == (None, 1)
    order.release(Reading("a"))
    assert taken(order) == ("a2", Reading("a", "a2"))


def test_keys_take_turns() -> None:
    order = waiting("a1 a2 a3 b1")
    order.take()
    order.release(Reading("a"))
    assert taken(order) == ("b1", Reading("b", "b1"))


def test_all_that_waits_is_given_back_in_the_order_it_came() -> None:
    order = waiting("a1 b1 a2 c1 b2 a3")
    order.take()
    assert [each.topic for each in order.clear()] == ["b1", "a2", "c1", "b2", "a3"]
    assert (len(order), order.is_ready) == (0, False)
    order.release(Reading("a"))
    assert order._lanes == {}


def test_keys_that_are_equal_are_one() -> None:
    keys: list[Hashable] = [1, 1.0, True]
    order = waiting("0 1 2", lambda delivery: Reading(keys[int(delivery.topic)]))
    assert order.take() is not None
    assert order.take() is None


@given(st.lists(st.sampled_from("abc"), max_size=30), st.data())
def test_of_each_key_in_order_one_at_a_time_and_none_idle(letters: list[str], data: st.DataObject) -> None:
    order, running, done = KeyOrder(by_first_letter), dict[str, str](), list[str]()
    coming = [f"{letter}{number}" for number, letter in enumerate(letters)]
    arrived: list[str] = []
    while coming or running or len(order):
        acts = [act for act, possible in (("put", coming), ("release", running), ("take", order.is_ready)) if possible]
        match data.draw(st.sampled_from(acts)):
            case "put":
                arrived.append(coming.pop(0))
                order.put(named(arrived[-1]))
            case "take":
                found = taken(order)
                assert found is not None
                assert found[1].key not in running
                running[str(found[1].key)] = found[0]
            case _:
                key = data.draw(st.sampled_from(sorted(running)))
                done.append(running.pop(key))
                order.release(Reading(key))
        # Whatever is free can be taken, and only that.
        waits = [each for each in arrived if each not in done and each not in running.values()]
        assert order.is_ready == any(each[0] not in running for each in waits)
        assert len(order) == len(waits)
    for letter in "abc":
        assert [each for each in done if each[0] == letter] == [each for each in arrived if each[0] == letter]
    assert order._lanes == {}


@pytest.mark.parametrize("make", [ArrivalOrder, lambda: KeyOrder(by_first_letter)], ids=["arrival", "key"])
def test_nothing_waits_at_first(make: Callable[[], ArrivalOrder | KeyOrder]) -> None:
    order = make()
    following = order.pop() if isinstance(order, ArrivalOrder) else order.take()
    assert (following, order.clear(), len(order), order.is_ready) == (None, [], 0, False)
