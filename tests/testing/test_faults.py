"""What a test can order to go wrong, and which messages that concerns."""

import pytest

from cqrsbus import Command, InvalidTopicError
from cqrsbus.testing import Faults


class AddNote(Command, topic="note.add"):
    text: str


def test_a_drop_takes_one_message_unless_told_otherwise() -> None:
    faults = Faults()
    once = faults.drop("note.add")
    assert faults.strike("note.add") is once
    assert faults.strike("note.add") is None
    assert once.struck == 1


def test_a_delay_takes_every_message() -> None:
    faults = Faults()
    late = faults.delay("note.add", 0.1)
    assert [faults.strike("note.add") for _ in range(3)] == [late] * 3
    assert (late.seconds, late.struck) == (0.1, 3)


def test_other_topics_are_left_alone() -> None:
    faults = Faults()
    fault = faults.drop("note.*", times=None)
    assert faults.strike("note.add.now") is None
    assert faults.strike("other.add") is None
    assert faults.strike("note.add") is fault


def test_a_class_stands_for_its_topic() -> None:
    assert Faults().drop(AddNote).pattern == "note.add"


def test_the_first_order_that_is_not_used_up_takes_the_message() -> None:
    faults = Faults()
    first, second = faults.drop("a"), faults.delay(">", 1)
    assert [faults.strike("a"), faults.strike("a")] == [first, second]


def test_cleared_orders_take_nothing() -> None:
    faults = Faults()
    faults.drop(">", times=None)
    faults.clear()
    assert faults.strike("a") is None


def test_an_order_says_what_it_is() -> None:
    faults = Faults()
    assert repr(faults.drop("a", times=2)) == "<drop 'a', struck 0 of 2>"
    assert repr(faults.delay("a.>", 0.5)) == "<delay by 0.5 s 'a.>', struck 0 of any>"


@pytest.mark.parametrize("topic", ["a..b", "", "a.>.b"])
def test_a_malformed_pattern_is_refused(topic: str) -> None:
    with pytest.raises(InvalidTopicError):
        Faults().drop(topic)


def test_a_class_without_a_topic_is_refused() -> None:
    with pytest.raises(ValueError, match="int has no topic"):
        Faults().drop(int)


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_no_message_comes_early(seconds: float) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        Faults().delay("a", seconds)
