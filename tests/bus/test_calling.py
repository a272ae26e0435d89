"""Message and context reach the parameters that asked for them, whatever their order and kind."""

import functools
from collections.abc import Callable

import pytest

from cqrsbus.bus.context import Context
from cqrsbus.bus.handler import HandlerKind
from cqrsbus.bus.signature import analyse

CTX = Context(message_id="m", topic="a.b")


def message_only(message: int) -> object:
    return message


def message_by_position(message: int, /, other: int = 5) -> object:
    return message, other


def message_by_name(*, message: int) -> object:
    return message


def both(message: int, ctx: Context) -> object:
    return message, ctx


def swapped(ctx: Context, message: int) -> object:
    return message, ctx


def both_by_position(ctx: Context, message: int, /) -> object:
    return message, ctx


def both_by_name(*, ctx: Context, message: int) -> object:
    return message, ctx


def context_by_name(message: int, /, *, ctx: Context) -> object:
    return message, ctx


def message_named_context_first(ctx: Context, /, *, message: int) -> object:
    return message, ctx


def context_behind_a_default(message: int, other: int = 5, ctx: Context | None = None) -> object:
    assert other == 5
    return message, ctx


def gathering(message: int, *args: object, ctx: Context, **kwargs: object) -> object:
    assert (args, kwargs) == ((), {})
    return message, ctx


def behind_a_bound_one(first: int, message: int, ctx: Context) -> object:
    assert first == 1
    return message, ctx


class Service:
    def method(self, message: int, ctx: Context) -> object:
        return message, ctx

    def __call__(self, ctx: Context, message: int) -> object:
        return message, ctx


def named(function: Callable[..., object]) -> str:
    return getattr(function, "__qualname__", repr(type(function)))


@pytest.mark.parametrize("function", [message_only, message_by_name], ids=named)
def test_the_message(function: Callable[..., object]) -> None:
    assert analyse(function, HandlerKind.EVENT).call(7, CTX) == 7


def test_a_default_is_left_alone() -> None:
    assert analyse(message_by_position, HandlerKind.EVENT).call(7, CTX) == (7, 5)


@pytest.mark.parametrize(
    "function",
    [
        both,
        swapped,
        both_by_position,
        both_by_name,
        context_by_name,
        message_named_context_first,
        context_behind_a_default,
        gathering,
        functools.partial(behind_a_bound_one, 1),
        functools.partial(behind_a_bound_one, first=1),
        Service().method,
        Service(),
    ],
    ids=named,
)
def test_message_and_context(function: Callable[..., object]) -> None:
    assert analyse(function, HandlerKind.EVENT).call(7, CTX) == (7, CTX)


def test_the_plain_shape_costs_nothing() -> None:
    assert analyse(both, HandlerKind.EVENT).call is both


def test_a_context_out_of_reach_is_refused() -> None:
    def handler(message: int, other: int = 5, ctx: Context | None = None, /) -> None: ...

    with pytest.raises(TypeError, match=r"handler \(.+:\d+\) takes 'ctx' only by position, .+: move it next to"):
        analyse(handler, HandlerKind.EVENT)
