"""The record of one handler."""

from dataclasses import FrozenInstanceError, replace

import pytest

from cqrsbus.bus.context import Context
from cqrsbus.bus.handler import Handler, HandlerKind
from cqrsbus.messages import Command, Event, Query


def function(message: int) -> None: ...


def call(message: object, ctx: Context) -> object:
    return message, ctx


HANDLER = Handler(
    kind=HandlerKind.EVENT,
    topic="a.*",
    function=function,
    name="module.function",
    location="module.py:3",
    message_annotation=[int],  # unhashable, as metadata in an Annotated may be
    message_parameter="message",
    call=call,
    is_async=False,
)


def test_each_kind_has_its_class_of_messages() -> None:
    assert {kind: kind.message_class for kind in HandlerKind} == {
        HandlerKind.COMMAND: Command,
        HandlerKind.QUERY: Query,
        HandlerKind.EVENT: Event,
    }


def test_says_where_it_is() -> None:
    assert str(HANDLER) == "module.function (module.py:3)"


def test_is_a_value_that_cannot_be_changed() -> None:
    assert hash(replace(HANDLER)) == hash(HANDLER)
    assert replace(HANDLER) == HANDLER
    assert replace(HANDLER, topic="b.*") != HANDLER
    with pytest.raises(FrozenInstanceError):
        HANDLER.topic = "b"  # type: ignore[misc]
