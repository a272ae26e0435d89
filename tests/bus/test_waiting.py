"""Where deliveries wait: as they came, or one at a time of each key."""

from collections.abc import Callable, Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrsbus.bus.waiting import ArrivalOrder, KeyOrder, Reading
from cqrsbus.links.port import Delivery
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
    assert (order.take(), order.is_ready, len(order)) == (None, False, 0)
    for each in deliveries:
        order.put([each])
    assert order.take() == (deliveries[0], None)
    assert (order.is_ready, len(order)) == (True, 2)
    assert order.clear() == deliveries[1:]
    assert (order.take(), order.is_ready, len(order)) == (None, False, 0)


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
    assert (order.take(), order.clear(), len(order), order.is_ready) == (None, [], 0, False)
