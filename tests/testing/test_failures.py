"""What becomes of failures that no caller was told of."""

import pytest

from cqrsbus.bus.registry import HandlerGroup
from cqrsbus.testing import Failure, Failures

group = HandlerGroup()


@group.event_handler("note.added")
async def note_it(event: str) -> None: ...


def failures(*errors: Exception) -> Failures:
    found = Failures()
    for number, error in enumerate(errors):
        found.add(Failure(error, group.handlers[0], f"m-{number}"))
    return found


def test_without_any_nothing_is_raised() -> None:
    Failures().raise_unexpected()


def test_they_are_raised_together_and_name_their_handler() -> None:
    found = failures(ValueError("a"), KeyError("b"))
    with pytest.raises(ExceptionGroup, match="no caller was told") as caught:
        found.raise_unexpected()
    assert [type(error) for error in caught.value.exceptions] == [ValueError, KeyError]
    (note,) = caught.value.exceptions[1].__notes__
    assert note.startswith("raised by the handler ")
    assert note.endswith("on message m-1")
    assert "note_it" in note


def test_what_is_expected_is_not_raised() -> None:
    found = failures(ValueError("a"), KeyError("b"))
    assert found.expect(LookupError).args == ("b",)
    with pytest.raises(ExceptionGroup) as caught:
        found.raise_unexpected()
    assert len(caught.value.exceptions) == 1


def test_each_is_expected_once() -> None:
    found = failures(ValueError("a"))
    found.expect(ValueError)
    with pytest.raises(AssertionError, match="fails with ValueError, found 0"):
        found.expect(ValueError)


def test_what_was_expected_in_vain_says_what_there_was() -> None:
    with pytest.raises(AssertionError, match=r"fails with KeyError, found 1\n  ValueError\('a'\) by .*note_it"):
        failures(ValueError("a")).expect(KeyError)


def test_they_can_be_looked_at() -> None:
    found = failures(ValueError("a"))
    assert len(found) == 1
    assert [failure.message_id for failure in found] == ["m-0"]


def test_the_error_that_ends_a_test_is_told_of_them() -> None:
    found, ending = failures(ValueError("a")), AssertionError("nothing came")
    found.tell(ending)
    assert [note.startswith("a handler had failed: ValueError('a') by ") for note in ending.__notes__] == [True]
    found.raise_unexpected()
