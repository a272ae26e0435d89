"""What is recorded of calls and handlings, and who is told of a failure."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import pytest

from cqrsbus import (
    Bus,
    Call,
    Command,
    Context,
    Event,
    Handling,
    InvalidMessageError,
    NoHandlerError,
    Query,
    RemoteError,
)
from cqrsbus.testing import TestBus

pytestmark = pytest.mark.anyio


class AddNote(Command, topic="note.add"):
    text: str


class NoteAdded(Event, topic="note.added"):
    text: str


class FindNotes(Query[list[str]], topic="note.find"):
    word: str


@pytest.fixture
def notes() -> Bus:
    bus = Bus("notes")
    texts: list[str] = []

    @bus.command_handler()
    async def add(command: AddNote) -> None:
        if not command.text:
            raise ValueError("a note needs a text")
        texts.append(command.text)
        await bus.publish(NoteAdded(text=command.text))

    @bus.query_handler()
    async def find(query: FindNotes) -> list[str]:
        return [text for text in texts if query.word in text]

    return bus


class TestCalls:
    async def test_each_verb_has_its_own(self, notes: Bus, broker: str) -> None:
        client = Bus("client")
        with anyio.fail_after(5):
            async with TestBus(notes, client, broker=broker) as t:
                await client.send(AddNote(text="milk"), wait=True, headers={"lang": "en"}, message_id="m-1")
                assert await client.ask(FindNotes(word="milk")) == ["milk"]
                await t.idle()
        sent = t.sent(AddNote).one()
        assert (sent.service, sent.verb, sent.topic, sent.message.text) == ("client", "send", "note.add", "milk")
        assert (sent.headers, sent.message_id, sent.outcome) == ({"lang": "en"}, "m-1", "done")
        asked = t.asked.one()
        assert (asked.message, asked.answer) == (FindNotes(word="milk"), ["milk"])
        published = t.published(NoteAdded).one()
        assert (published.service, published.message.text) == ("notes", "milk")

    async def test_by_topic_too(self, notes: Bus) -> None:
        with anyio.fail_after(5):
            async with TestBus(notes) as t:
                await notes.send("note.add", {"text": "milk"}, wait=True)
                assert t.sent("note.*").one().message == {"text": "milk"}
                t.sent(AddNote).none()
                assert t.handled(AddNote).one().message.text == "milk"

    async def test_one_that_fails(self) -> None:
        bus = Bus("a")
        with anyio.fail_after(5):
            async with TestBus(bus) as t:
                with pytest.raises(NoHandlerError) as caught:
                    await bus.send(AddNote(text="milk"))
                record = t.sent.one()
                assert (record.outcome, record.error) == ("failed", caught.value)

    async def test_one_that_is_open_and_one_that_is_left(self) -> None:
        bus, started = Bus("a"), anyio.Event()

        @bus.query_handler()
        async def find(query: FindNotes) -> list[str]:
            started.set()
            await anyio.sleep_forever()
            return []

        with anyio.fail_after(5):
            async with TestBus(bus) as t, anyio.create_task_group() as tasks:
                tasks.start_soon(bus.ask, FindNotes(word="a"))
                await started.wait()
                assert (t.asked.one().outcome, t.handled.one().outcome) == ("open", "open")
                tasks.cancel_scope.cancel()
            assert (t.asked.one().outcome, t.handled.one().outcome) == ("cancelled", "cancelled")

    async def test_as_middleware_lets_them_out(self, notes: Bus) -> None:
        @notes.call_middleware
        async def sign(call: Call, call_next: Callable[[Call], Awaitable[Any]]) -> Any:
            if call.message == AddNote(text="secret"):
                return None
            return await call_next(replace(call, headers={**call.headers, "signed": "yes"}))

        with anyio.fail_after(5):
            async with TestBus(notes) as t:
                await notes.send(AddNote(text="secret"))
                await notes.send(AddNote(text="milk"), wait=True)
                assert t.sent.one().headers == {"signed": "yes"}


class TestHandlings:
    async def test_what_the_handler_was_given(self, notes: Bus, broker: str) -> None:
        with anyio.fail_after(5):
            async with TestBus(notes, broker=broker) as t:
                await notes.send(AddNote(text="milk"), wait=True, headers={"lang": "en"})
                assert await notes.ask(FindNotes(word="milk")) == ["milk"]
        added = t.handled(AddNote).one()
        assert (added.message.text, added.headers, added.topic, added.outcome) == (
            "milk",
            {"lang": "en"},
            "note.add",
            "done",
        )
        assert added.handler.name.endswith(".add")
        assert added.context.sender == "notes"
        assert added.message_id == t.sent.one().message_id
        assert t.handled(FindNotes).one().answer == ["milk"]

    async def test_an_event_by_each_of_its_handlers(self) -> None:
        one, other = Bus("one"), Bus("other")

        async def first(event: NoteAdded) -> None: ...

        async def second(event: NoteAdded, ctx: Context) -> None: ...

        one.event_handler()(first)
        other.event_handler("note.>")(second)
        with anyio.fail_after(5):
            async with TestBus(one, other) as t:
                await one.publish(NoteAdded(text="milk"))
                await t.idle()
                assert {record.handler.function for record in t.handled(NoteAdded)} == {first, second}

    async def test_not_what_middleware_keeps_from_it(self, notes: Bus) -> None:
        @notes.handling_middleware
        async def skip(handling: Handling, call_next: Callable[[Handling], Awaitable[Any]]) -> Any:
            return None

        with anyio.fail_after(5):
            async with TestBus(notes) as t:
                await notes.send(AddNote(text="milk"), wait=True)
                t.handled.none()


class TestFailures:
    async def test_who_asks_is_told_with_the_cause(self, broker: str) -> None:
        bus, error = Bus("a"), LookupError("no such note")

        @bus.query_handler()
        async def find(query: FindNotes) -> list[str]:
            raise error

        with anyio.fail_after(5):
            async with TestBus(bus, Bus("client"), broker=broker) as t:
                with pytest.raises(RemoteError, match="no such note") as caught:
                    await t.buses[1].ask(FindNotes(word="a"))
                assert caught.value.__cause__ is error
                assert t.handled.one().error is error
                assert not t.errors

    async def test_who_waits_for_a_command_is(self, notes: Bus, broker: str) -> None:
        with anyio.fail_after(5):
            async with TestBus(notes, broker=broker) as t:
                with pytest.raises(RemoteError) as caught:
                    await notes.send(AddNote(text=""), wait=True)
                assert isinstance(caught.value.__cause__, ValueError)
                assert not t.errors

    async def test_with_a_message_that_cannot_be_read_too(self, notes: Bus, broker: str) -> None:
        with anyio.fail_after(5):
            async with TestBus(notes, broker=broker) as t:
                with pytest.raises(InvalidMessageError) as caught:
                    await notes.send("note.add", {"text": 7}, wait=True)
                assert isinstance(caught.value.__cause__, InvalidMessageError)
                assert not t.errors

    async def test_a_command_that_nobody_waits_for(self, notes: Bus, broker: str) -> None:
        async def quick_test() -> None:
            async with TestBus(notes, broker=broker):
                await notes.send(AddNote(text=""))

        with anyio.fail_after(5), pytest.raises(ExceptionGroup, match="no caller was told") as caught:
            await quick_test()
        (error,) = caught.value.exceptions
        assert isinstance(error, ValueError)
        assert "add" in error.__notes__[0]

    async def test_an_event(self, broker: str) -> None:
        bus = Bus("a")

        @bus.event_handler()
        async def note_it(event: NoteAdded) -> None:
            raise ValueError(event.text)

        with anyio.fail_after(5):
            async with TestBus(bus, broker=broker) as t:
                await bus.publish(NoteAdded(text="milk"))
                await bus.publish("note.added", {"no": "text"})
                await t.idle()
                assert t.errors.expect(ValueError).args == ("milk",)
                assert t.errors.expect(InvalidMessageError).topic is None
                assert not t.errors

    async def test_a_caller_that_has_left_was_not_told(self) -> None:
        bus, started, release = Bus("a"), anyio.Event(), anyio.Event()

        @bus.command_handler()
        async def add(command: AddNote) -> None:
            started.set()
            await release.wait()
            raise ValueError("too late")

        with anyio.fail_after(10):
            async with TestBus(bus) as t:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(partial(bus.send, AddNote(text="milk"), wait=True))
                    await started.wait()
                    tasks.cancel_scope.cancel()
                release.set()
                await t.idle()
                t.errors.expect(ValueError)

    async def test_nor_one_that_leaves_as_it_comes(self) -> None:
        bus, scope = Bus("a"), anyio.CancelScope()

        @bus.query_handler()
        async def find(query: FindNotes) -> list[str]:
            scope.cancel()
            raise ValueError("in vain")

        with anyio.fail_after(5):
            async with TestBus(bus) as t:
                with scope:
                    await bus.ask(FindNotes(word="a"))
                await t.idle()
                t.errors.expect(ValueError)

    async def test_a_test_that_fails_is_told_of_them(self, notes: Bus) -> None:
        async def failing_test() -> None:
            async with TestBus(notes) as t:
                await notes.send(AddNote(text=""))
                await t.idle()
                raise AssertionError("nothing came")

        with anyio.fail_after(5), pytest.raises(AssertionError, match="nothing came") as caught:
            await failing_test()
        (note,) = caught.value.__notes__
        assert note.startswith("a handler had failed: ValueError('a note needs a text') by ")


class ReadNotes(Query[str], topic="note.read"):
    pass


class TestStreams:
    @staticmethod
    def reading(*texts: str, error: Exception | None = None) -> Bus:
        bus = Bus("notes")

        @bus.query_handler()
        async def read(query: ReadNotes) -> AsyncIterator[str]:
            for text in texts:
                yield text
            if error is not None:
                raise error

        return bus

    async def test_what_was_given_is_recorded(self, broker: str) -> None:
        bus = self.reading("a", "b")
        with anyio.fail_after(5):
            async with TestBus(bus, broker=broker) as t:
                async with bus.stream(ReadNotes()) as texts:
                    assert [text async for text in texts] == ["a", "b"]
                await t.idle()
                asked, handled = t.asked(ReadNotes).one(), t.handled(ReadNotes).one()
                assert (asked.verb, asked.answer, asked.outcome) == ("stream", None, "done")
                assert (handled.answer, handled.outcome) == (["a", "b"], "done")

    async def test_who_takes_it_is_told_of_its_failure(self, broker: str) -> None:
        bus = self.reading("a", error=ValueError("torn"))
        with anyio.fail_after(5):
            async with TestBus(bus, broker=broker) as t:
                with pytest.raises(RemoteError, match="torn"):
                    async with bus.stream(ReadNotes()) as texts:
                        assert [text async for text in texts] == ["a"]
                await t.idle()
                assert not t.errors
                assert (t.handled.one().answer, t.handled.one().outcome) == (["a"], "failed")

    async def test_one_that_is_open_is_work_in_flight(self, broker: str) -> None:
        bus = self.reading(*map(str, range(1000)))
        with anyio.fail_after(5):
            async with TestBus(bus, broker=broker) as t:
                async with bus.stream(ReadNotes()) as texts:
                    await anext(texts)
                    with anyio.move_on_after(0.05) as scope:
                        await t.idle()
                    assert scope.cancelled_caught
                    assert t.handled.one().outcome == "open"
                await t.idle()
                assert t.handled.one().outcome == "cancelled"

    async def test_of_every_instance(self, broker: str) -> None:
        one, other = Bus("notes"), Bus("notes")
        for bus, answer in ((one, ["a"]), (other, ["b"])):

            async def find(query: FindNotes, answer: list[str] = answer) -> list[str]:
                return answer

            bus.query_handler()(find)
        with anyio.fail_after(5):
            async with TestBus(one, other, broker=broker) as t:
                async with one.gather(FindNotes(word="")) as replies:
                    assert sorted([reply async for reply in replies]) == [["a"], ["b"]]
                assert t.asked.one().verb == "gather"
                assert len(t.handled(FindNotes)) == 2
