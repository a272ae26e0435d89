"""Which handlers are called with nothing between."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import pytest

from cqrsbus import Context, Depends, HandlerGroup
from cqrsbus.bus.handler import Handler
from cqrsbus.bus.invocation import HandlerCall
from cqrsbus.bus.middleware import Handling, NextHandling


def made() -> int:
    return 1


async def alone(message: int) -> None: ...


async def by_name(*, message: int) -> None: ...


async def with_context(message: int, ctx: Context) -> None: ...


async def with_dependency(message: int, one: Annotated[int, Depends(made)]) -> None: ...


def in_a_thread(message: int) -> None: ...


def handler_of(function: Callable[..., Any]) -> Handler:
    group = HandlerGroup()
    group.event_handler("a.b")(function)
    (handler,) = group.handlers
    return handler


async def around(handling: Handling, call_next: NextHandling) -> object:
    return await call_next(handling)


def test_one_that_takes_its_message_alone_is_called_itself() -> None:
    assert HandlerCall(handler_of(alone)).begin_alone is alone


@pytest.mark.parametrize("function", [by_name, with_context, with_dependency, in_a_thread])
def test_others_are_not(function: Callable[..., Any]) -> None:
    assert HandlerCall(handler_of(function)).begin_alone is None


def test_one_with_middleware_around_it_is_not() -> None:
    assert HandlerCall(replace(handler_of(alone), middleware=(around,))).begin_alone is None
