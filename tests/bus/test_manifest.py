import inspect
from typing import Any

from pydantic import BaseModel, create_model

from cqrsbus import Command, Event, HandlerGroup, Query
from cqrsbus.bus.manifest import Manifest
from cqrsbus.contracts.contract import decode_contracts
from cqrsbus.routing.limits import MAX_CONTRACT, MAX_CONTRACTS


class Store(Command, topic="mail.store"):
    subject: str
    size: int = 0


class Find(Query[list[str]], topic="mail.find"):
    word: str


class Stored(Event, topic="mail.stored"):
    number: int


group = HandlerGroup()


@group.query_handler()
async def find(query: Find) -> list[str]:
    return [query.word]


@group.command_handler()
async def store(command: Store) -> None: ...


@group.event_handler("mail.*", group="audit")
async def audit(event: Any) -> None: ...


def line_of(written: Any) -> int:
    return inspect.getsourcelines(written)[1]


MANIFEST = Manifest("mail", "1.4", [Store, Find, Stored])


def test_handlers_read_their_message_and_write_their_answer() -> None:
    found, stored, audited = MANIFEST.handled(group.handlers)
    assert (found.kind, found.topic, found.service, found.version) == ("query", "mail.find", "mail", "1.4")
    assert found.message == {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}
    assert found.answer == {"type": "array", "items": {"type": "string"}}
    assert stored.message is not None
    assert stored.message["required"] == ["subject"]
    assert stored.answer is None
    assert (audited.kind, audited.topic, audited.message) == ("event", "mail.*", {})


def test_what_is_required_is_written_and_its_answer_read() -> None:
    store, find, stored = MANIFEST.required()
    assert store.message is not None
    assert store.message["required"] == ["size", "subject"]
    assert (store.kind, store.topic, store.answer) == ("command", "mail.store", None)
    assert (find.kind, find.answer) == ("query", {"type": "array", "items": {"type": "string"}})
    assert (stored.kind, stored.topic) == ("event", "mail.stored")


def test_both_say_where_they_are() -> None:
    handler, needed = MANIFEST.handled(group.handlers)[0], MANIFEST.required()[1]
    assert handler.place.startswith(f"{find.__module__}.find (")
    assert handler.place.endswith(f"test_manifest.py:{line_of(find) + 1})")
    assert needed.place.startswith(f"{Find.__module__}.Find (")
    assert needed.place.endswith(f"test_manifest.py:{line_of(Find)})")


def test_a_class_without_a_source_is_no_problem() -> None:
    class Made(Query[int], topic="made"):
        pass

    Made.__module__ = "nowhere"
    assert Manifest("a", "", [Made]).required()[0].place.endswith("(no source)")


def test_a_class_that_is_required_twice_is_required_once() -> None:
    assert Manifest("web", "", [Find, Find]).requires == (Find,)


# Within what a broker keeps.


def handlers_of(*messages: type) -> HandlerGroup:
    made = HandlerGroup()
    for number, message in enumerate(messages):

        async def handle(message: Any) -> None: ...

        handle.__annotations__["message"] = message
        made.command_handler(f"topic.{number}")(handle)
    return made


def wide(fields: int) -> type[BaseModel]:
    return create_model("Wide", **{f"field{number}": (int, ...) for number in range(fields)})  # type: ignore[call-overload]  # made of names


def test_handlers_of_one_subscription_are_told_together() -> None:
    (body,) = MANIFEST.bodies([group.handlers])
    assert [each.topic for each in decode_contracts(body, "mail")] == ["mail.find", "mail.store", "mail.*"]


def test_of_what_is_too_large_the_hashes_are_told() -> None:
    handlers = handlers_of(wide(1000), wide(1)).handlers
    large, small = MANIFEST.bodies([[each] for each in handlers])
    assert len(large) <= MAX_CONTRACT
    (told,) = decode_contracts(large, "mail")
    assert told.message is None
    assert told.hashes == MANIFEST.handled(handlers)[0].hashes
    assert decode_contracts(small, "mail")[0].message is not None


def test_what_is_told_is_bounded_in_all() -> None:
    handlers = handlers_of(*[wide(100)] * 1024).handlers
    bodies = MANIFEST.bodies([[each] for each in handlers])
    assert sum(map(len, bodies)) <= MAX_CONTRACTS
    assert bodies[-1] == b""
    assert all(decode_contracts(body, "mail")[0].message for body in bodies[:50])
