from collections.abc import AsyncIterator

import pytest

from cqrsbus import RemoteError
from cqrsbus.testing import TestBus

from . import service
from .messages import AddNote, FindNotes, NoteAdded

pytestmark = pytest.mark.anyio


@pytest.fixture
async def t() -> AsyncIterator[TestBus]:
    service.notes.clear()
    async with TestBus(service.bus) as t:
        yield t


async def test_an_added_note_is_found(t: TestBus) -> None:
    await t.bus.send(AddNote(text="buy milk"), wait=True)
    assert await t.bus.ask(FindNotes(word="milk")) == ["buy milk"]


async def test_everybody_hears_of_a_note(t: TestBus) -> None:
    await t.bus.send(AddNote(text="buy milk"), wait=True)
    added = t.published(NoteAdded).one().message
    assert added == NoteAdded(number=1, text="buy milk")


async def test_an_empty_note_is_refused(t: TestBus) -> None:
    with pytest.raises(RemoteError, match="a note needs a text") as caught:
        await t.bus.send(AddNote(text=""), wait=True)
    assert isinstance(caught.value.__cause__, ValueError)
