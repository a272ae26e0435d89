"""Choose, once per handler, how its message and context are passed to it.

The common shapes, ``f(message)`` and ``f(message, context)``, cost at most one plain call more than calling the
function itself: no argument is bound by name on the hot path unless the function asks for it.
"""

from collections.abc import Callable, Sequence
from inspect import Parameter
from typing import TypeAlias

from cqrsbus.bus.callables import Described
from cqrsbus.bus.context import Context

Call: TypeAlias = Callable[[object, Context], object]


class MessageAlone:
    """Calls a function that takes a message and nothing else.

    Args:
        function: The function; who has no use for the context may call it without going through this.
    """

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., object]) -> None:
        self.function = function

    def __call__(self, message: object, _context: Context) -> object:
        return self.function(message)


def caller(described: Described, parameters: Sequence[Parameter], message: str, context: str | None) -> Call:
    """Return ``call(message, context)``, which passes both the way the function takes them.

    Args:
        described: The function.
        parameters: Its parameters in order, without those that gather the rest.
        message: The name of the parameter for the message.
        context: The name of the parameter for the context, if it has one.

    Raises:
        TypeError: The context can be passed neither by position nor by name.
    """
    first = _leading(parameters, message, context)
    _refuse_unreachable(described, parameters, context, first)
    if context is None:
        return _message_only(described.function, message if not first else None)
    return _message_and_context(described.function, message, context, first)


def _leading(parameters: Sequence[Parameter], message: str, context: str | None) -> list[str]:
    """Which of the two stand at the very front, so that they are passed by position."""
    names: list[str] = []
    for parameter in parameters:
        if parameter.kind is Parameter.KEYWORD_ONLY or parameter.name not in (message, context):
            break
        names.append(parameter.name)
    return names


def _refuse_unreachable(
    described: Described, parameters: Sequence[Parameter], context: str | None, first: Sequence[str]
) -> None:
    for parameter in parameters:
        by_name_only = parameter.name == context and parameter.name not in first
        if by_name_only and parameter.kind is Parameter.POSITIONAL_ONLY:
            raise TypeError(
                f"{described} takes {context!r} only by position, behind a parameter with a default: "
                f"move it next to the message"
            )


def _message_only(function: Callable[..., object], name: str | None) -> Call:
    if name is None:
        return MessageAlone(function)
    return lambda message, _: function(**{name: message})


def _message_and_context(function: Callable[..., object], message: str, context: str, first: Sequence[str]) -> Call:
    match first:
        case [one, _] if one == message:
            return function
        case [_, _]:
            return lambda given, ctx: function(ctx, given)
        case [one] if one == message:
            return lambda given, ctx: function(given, **{context: ctx})
        case [_]:
            return lambda given, ctx: function(ctx, **{message: given})
        case _:
            return lambda given, ctx: function(**{message: given, context: ctx})
