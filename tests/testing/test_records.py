"""Asking for what a test expects."""

import pytest
from pydantic import BaseModel

from cqrsbus import Command, Context, Event, InvalidTopicError
from cqrsbus.bus.registry import HandlerGroup
from cqrsbus.testing import Called, CalledRecords, Handled, HandledRecords


class NoteAdded(Event, topic="note.added"):
    text: str


class NoteMoved(Event, topic="note.moved"):
    text: str


def called(message: BaseModel, topic: str, **fields: object) -> Called[object]:
    record: Called[object] = Called(verb="publish", service="notes", topic=topic, message=message)
    for name, value in fields.items():
        setattr(record, name, value)
    return record


@pytest.fixture
def published() -> CalledRecords[object]:
    return CalledRecords(
        "published message",
        [
            called(NoteAdded(text="a"), "note.added", outcome="done"),
            called(NoteMoved(text="b"), "note.moved"),
            called(NoteAdded(text="c"), "note.added", outcome="failed", error=ValueError("no")),
        ],
    )


def test_all_in_order(published: CalledRecords[object]) -> None:
    assert [record.topic for record in published.all()] == ["note.added", "note.moved", "note.added"]
    assert list(published) == published.all()
    assert len(published) == 3
    assert published[-1].message == NoteAdded(text="c")


def test_by_type(published: CalledRecords[object]) -> None:
    assert published(NoteAdded).messages == [NoteAdded(text="a"), NoteAdded(text="c")]
    assert published(NoteMoved).one().message.text == "b"


def test_by_topic_and_pattern(published: CalledRecords[object]) -> None:
    assert published("note.moved").messages == [NoteMoved(text="b")]
    assert len(published("note.*")) == 3
    assert not published("other.>")
    with pytest.raises(InvalidTopicError):
        published("note..added")


def test_by_condition(published: CalledRecords[object]) -> None:
    assert published(NoteAdded).where(lambda record: record.message.text == "c").one().outcome == "failed"


def test_conditions_add_up(published: CalledRecords[object]) -> None:
    assert not published(NoteMoved)("note.added")
    published(NoteMoved)("note.added").none()


def test_one_of_none_says_what_there_was(published: CalledRecords[object]) -> None:
    with pytest.raises(AssertionError) as caught:
        published(Command).one()
    assert str(caught.value) == (
        "expected one published message Command, found 0\n"
        "there were:\n"
        "  NoteAdded(text='a') to note.added by notes\n"
        "  NoteMoved(text='b') to note.moved by notes: open\n"
        "  NoteAdded(text='c') to note.added by notes: failed, ValueError('no')"
    )


def test_one_of_many_says_which(published: CalledRecords[object]) -> None:
    with pytest.raises(AssertionError, match=r"^expected one published message on 'note.added', found 2\n  NoteAdded"):
        published("note.added").one()


def test_none_of_some_says_which(published: CalledRecords[object]) -> None:
    with pytest.raises(AssertionError, match=r"^expected no published message that fits, found 1\n  NoteMoved"):
        published.where(lambda record: record.topic == "note.moved").none()


def test_a_view_is_live() -> None:
    source: list[Called[object]] = []
    view = CalledRecords("message", source)(NoteAdded)
    view.none()
    source.append(called(NoteAdded(text="a"), "note.added"))
    assert view.one().message.text == "a"
    assert repr(view) == "<message NoteAdded: 1\n  NoteAdded(text='a') to note.added by notes: open>"


def test_what_was_handled_names_its_handler() -> None:
    group = HandlerGroup()

    @group.event_handler()
    async def note_it(event: NoteAdded) -> None: ...

    handled = HandledRecords(
        "handled message",
        [
            Handled(
                topic="note.added",
                message=NoteAdded(text="a"),
                handler=group.handlers[0],
                context=Context(message_id="m-1", topic="note.added"),
                outcome="cancelled",
            )
        ],
    )
    assert handled(NoteAdded).messages == [NoteAdded(text="a")]
    assert str(handled.one()).endswith("note_it: cancelled")
