"""What a handler takes is found out, and what cannot work is refused by name, place and remedy."""

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Annotated, Optional

import pytest

from cqrsbus.bus.callables import place
from cqrsbus.bus.context import Context
from cqrsbus.bus.handler import HandlerKind
from cqrsbus.bus.signature import analyse
from cqrsbus.errors import TopologyError
from cqrsbus.messages import Command, Event, Query

if TYPE_CHECKING:
    from decimal import Decimal

    from cqrsbus.bus.context import Context as HiddenContext

COMMAND, QUERY, EVENT = HandlerKind


class NewEmail(Command, topic="email.new"):
    subject: str


class OldEmail(Command):
    subject: str


class Stored(Event, topic="email.stored"):
    subject: str


class Count(Query[int], topic="email.count"):
    pass


def refused(function: Callable[..., object], kind: HandlerKind = COMMAND) -> str:
    with pytest.raises(TypeError) as caught:
        analyse(function, kind)
    assert place(function) in str(caught.value)
    assert f"{__file__}:" in str(caught.value)
    return str(caught.value).replace(place(function), "HANDLER")


def unfitting(function: Callable[..., object], kind: HandlerKind) -> str:
    with pytest.raises(TopologyError) as caught:
        analyse(function, kind)
    assert f"{__file__}:" in caught.value.reason
    return caught.value.reason.replace(place(function), "HANDLER")


def test_a_plain_command_handler() -> None:
    async def handler(command: NewEmail) -> None: ...

    found = analyse(handler, COMMAND)
    assert f"{found.name} ({found.location})" == place(handler)
    assert (found.message_parameter, found.message_annotation) == ("command", NewEmail)
    assert (found.context_parameter, found.returns) == (None, type(None))
    assert (found.is_async, found.is_stream) == (True, False)


def test_a_missing_return_annotation_differs_from_none() -> None:
    async def handler(command: NewEmail): ...  # type: ignore[no-untyped-def]

    assert analyse(handler, COMMAND).returns is None


def context_first(ctx: Context, command: NewEmail) -> None: ...
def context_last(command: NewEmail, ctx: Context) -> None: ...
def context_optional(command: NewEmail, ctx: Context | None = None) -> None: ...
def context_optional_in_the_old_way(command: NewEmail, ctx: Optional[Context] = None) -> None: ...  # noqa: UP045
def context_annotated(command: NewEmail, ctx: Annotated[Context, "note"]) -> None: ...
def context_in_a_string(command: "NewEmail", ctx: "Context | None" = None) -> None: ...
def context_by_name(command: NewEmail, *, ctx: Context) -> None: ...


@pytest.mark.parametrize(
    "function",
    [
        context_first,
        context_last,
        context_optional,
        context_optional_in_the_old_way,
        context_annotated,
        context_in_a_string,
        context_by_name,
    ],
)
def test_the_context_is_found_anywhere(function: Callable[..., object]) -> None:
    found = analyse(function, COMMAND)
    assert (found.message_parameter, found.message_annotation) == ("command", NewEmail)
    assert found.context_parameter == "ctx"


def test_annotated_passes_through() -> None:
    def handler(count: Annotated[int, "positive"]) -> Annotated[int, "even"]: ...  # type: ignore[empty-body]

    found = analyse(handler, QUERY)
    assert found.message_annotation == Annotated[int, "positive"]
    assert found.returns == Annotated[int, "even"]


def test_other_parameters_are_left_alone_even_if_they_cannot_be_resolved() -> None:
    def handler(command: NewEmail, price: "Decimal | None" = None, *args: object, **kwargs: object) -> None: ...

    assert analyse(handler, COMMAND).message_parameter == "command"


def test_local_string_annotations_are_resolved() -> None:
    class Local(Command):
        pass

    def handler(command: "Local", ctx: "Context") -> "int": ...  # type: ignore[empty-body]

    found = analyse(handler, COMMAND)
    assert (found.message_annotation, found.context_parameter, found.returns) == (Local, "ctx", int)


def test_a_union_of_commands_is_a_command() -> None:
    def handler(command: NewEmail | OldEmail) -> None: ...

    assert analyse(handler, COMMAND).message_annotation == NewEmail | OldEmail


@pytest.mark.parametrize("kind", list(HandlerKind))
def test_any_other_type_goes_with_every_kind(kind: HandlerKind) -> None:
    def handler(message: dict[str, int]) -> int: ...  # type: ignore[empty-body]

    assert analyse(handler, kind).message_annotation == dict[str, int]


def test_an_annotation_that_is_no_type_is_left_to_the_codec() -> None:
    def handler(message: int) -> None: ...

    handler.__annotations__["message"] = [int]
    assert analyse(handler, COMMAND).message_annotation == [int]


def test_no_parameter() -> None:
    def handler() -> None: ...

    assert refused(handler) == (
        "HANDLER takes no message: give it one parameter without a default, annotated with the message's type"
    )


def test_nothing_but_context_defaults_and_gathering_parameters() -> None:
    def handler(*args: object, ctx: Context, other: int = 0, **kwargs: object) -> None: ...

    assert refused(handler).startswith("HANDLER takes no message:")


def test_two_messages() -> None:
    def handler(command: NewEmail, other: int) -> None: ...

    assert refused(handler) == (
        "HANDLER has 2 parameters without a default ('command', 'other') and only one can take the message: "
        "give the others a default"
    )


def test_two_contexts() -> None:
    def handler(command: NewEmail, one: Context, two: Context) -> None: ...

    assert refused(handler) == "HANDLER has 2 Context parameters ('one', 'two'): keep one"


def test_no_annotation() -> None:
    def handler(command) -> None: ...  # type: ignore[no-untyped-def]

    assert refused(handler) == (
        "parameter 'command' of HANDLER has no annotation: "
        "annotate it with the message's type, as in 'command: NewEmail'"
    )


def message_not_there(command: "Decimal") -> None: ...
def answer_not_there(command: NewEmail) -> "Decimal": ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("function", "what"), [(message_not_there, "parameter 'command'"), (answer_not_there, "the answer")]
)
def test_an_annotation_for_type_checkers_alone(function: Callable[..., object], what: str) -> None:
    assert refused(function) == (
        f"the annotation 'Decimal' of {what} of HANDLER cannot be resolved: name 'Decimal' is not defined. "
        f"Import or define what it names at module level, outside of 'if TYPE_CHECKING', before the handler"
    )


def test_a_context_for_type_checkers_alone_is_not_passed_over_in_silence() -> None:
    def handler(command: NewEmail, ctx: "HiddenContext | None" = None) -> None: ...

    assert "the annotation 'HiddenContext | None' of parameter 'ctx' of HANDLER cannot be resolved" in refused(handler)


def test_an_undecorated_method() -> None:
    class Service:
        def handler(self, command: NewEmail) -> None: ...

    assert refused(Service.handler) == (
        "HANDLER is a method, and nobody would pass 'self': register the bound method of an instance instead, "
        "as in group.command_handler(...)(instance.method)"
    )
    assert analyse(Service().handler, COMMAND).message_parameter == "command"


def test_a_function_whose_message_is_called_self_lacks_only_its_annotation() -> None:
    def handler(self) -> None: ...  # type: ignore[no-untyped-def]

    assert refused(handler).startswith("parameter 'self' of HANDLER has no annotation")


def test_a_callable_that_does_not_tell_its_parameters() -> None:
    with pytest.raises(TypeError) as caught:
        analyse(max, COMMAND)
    assert str(caught.value) == (
        "builtins.max (no source) does not tell its parameters: wrap it in a function that does"
    )


@pytest.mark.parametrize(("kind", "noun"), [(COMMAND, "a command"), (EVENT, "an event")])
def test_a_stream_answers_only_queries(kind: HandlerKind, noun: str) -> None:
    async def handler(message: int) -> AsyncIterator[int]:
        yield message

    assert refused(handler, kind) == (
        f"HANDLER is an async generator, which only a query handler may be: "
        f"for {noun} handler write 'async def' without 'yield'"
    )
    assert analyse(handler, QUERY).is_stream


def test_a_message_of_another_kind() -> None:
    def event(event: Stored) -> None: ...
    def command(command: Annotated[NewEmail, "note"]) -> int: ...  # type: ignore[empty-body]
    def query(query: Count | NewEmail) -> None: ...

    assert unfitting(event, COMMAND) == (
        "HANDLER is a command handler, but Stored is an event: declare it with event_handler, or take a Command"
    )
    assert unfitting(command, QUERY) == (
        "HANDLER is a query handler, but NewEmail is a command: declare it with command_handler, or take a Query"
    )
    assert unfitting(query, EVENT) == (
        "HANDLER is an event handler, but Count is a query: declare it with query_handler, or take an Event"
    )
