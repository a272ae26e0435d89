"""What kind of callable a handler is, how it is called in messages, and which callables are refused.

Taken: functions, bound methods, ``functools.partial``, instances with ``__call__``, and functions wrapped by a
decorator that uses ``functools.wraps``. Refused, with what to do instead: classes, undecorated methods
(nobody would pass ``self``), classmethod objects, and sync generators.

A wrapper is judged with what it wraps: a plain wrapper around an async function returns what that function
returns, so it counts as async.
"""

import functools
import inspect
import linecache
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import FunctionType


@dataclass(frozen=True, slots=True)
class Described:
    """One callable, looked through to what somebody wrote: a function, but for builtins."""

    function: Callable[..., object]
    written: object
    name: str
    location: str
    is_async: bool
    is_stream: bool
    is_generator: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({self.location})"


def describe(function: object) -> Described:
    """Look at a callable that is to be a handler.

    Args:
        function: What was decorated.

    Raises:
        TypeError: It cannot be a handler; the text names it and says what to do instead.
    """
    if issubclass(type(function), classmethod):
        raise TypeError(f"{place(function)} is a classmethod object, which cannot be called: register Class.method")
    if isinstance(function, type):
        raise TypeError(f"{function.__module__}.{function.__qualname__} is a class: a handler is a function")
    if not callable(function):
        raise TypeError(f"a handler is a function, not {function!r}")
    described = look_through(function)
    if described.is_generator:
        raise TypeError(f"{described} is a sync generator: write 'async def' to stream answers")
    return described


def look_through(function: Callable[..., object]) -> Described:
    """Look at any callable, down to what somebody wrote; of a class at what it is made with.

    Args:
        function: What is to be called.
    """
    if isinstance(function, type):
        return _describe_class(function)
    layers = _layers(function)
    innermost = layers[-1]
    return Described(
        function=function,
        written=innermost,
        name=_name(innermost),
        location=_location(innermost),
        is_async=any(inspect.iscoroutinefunction(layer) for layer in layers),
        is_stream=any(inspect.isasyncgenfunction(layer) for layer in layers),
        is_generator=any(inspect.isgeneratorfunction(layer) for layer in layers),
    )


def _describe_class(cls: type) -> Described:
    written: object = inspect.getattr_static(cls, "__init__")
    name = f"{cls.__module__}.{cls.__qualname__}"
    return Described(
        function=cls, written=written, name=name, location=_location(written), is_async=False, is_stream=False
    )


def place(function: object) -> str:
    """Name a callable for a message: ``module.qualname (file:line)``."""
    written = _layers(function)[-1]
    return f"{_name(written)} ({_location(written)})"


def an(noun: str) -> str:
    """Put the article before a noun: ``a command``, ``an event``."""
    return f"{'an' if noun[0] in 'aeiouAEIOU' else 'a'} {noun}"


def listed(names: Iterable[str]) -> str:
    """Quote and join names for a message."""
    return ", ".join(map(repr, names))


def _layers(function: object) -> list[object]:
    """The callable, and what it stands for, layer by layer, down to a plain function where there is one."""
    layers = [function]
    while True:
        inner = _inner(layers[-1])
        if inner is None or any(inner is layer for layer in layers):
            return layers
        layers.append(inner)


def _inner(layer: object) -> object | None:
    if isinstance(layer, functools.partial):
        return layer.func
    if inspect.ismethod(layer):
        return layer.__func__
    wrapped: object = getattr(layer, "__wrapped__", None)
    if wrapped is not None:
        return wrapped
    if callable(layer) and not inspect.isroutine(layer):
        call: object = inspect.getattr_static(type(layer), "__call__", None)
        return call
    return None


def _name(layer: object) -> str:
    named = layer if hasattr(layer, "__qualname__") else type(layer)
    return f"{getattr(named, '__module__', None) or '?'}.{getattr(named, '__qualname__', '?')}"


def _location(layer: object) -> str:
    if not isinstance(layer, FunctionType):
        return "no source"
    code = layer.__code__
    return f"{code.co_filename}:{_def_line(code.co_filename, code.co_firstlineno, code.co_name)}"


def _def_line(filename: str, first: int, name: str) -> int:
    """The line of the ``def``: a code object only tells that of the first decorator."""
    if not name.isidentifier():  # a lambda has no def
        return first
    is_def = re.compile(rf"\s*(?:async\s+)?def\s+{re.escape(name)}\b").match
    line = first
    while text := linecache.getline(filename, line):
        if is_def(text):
            return line
        line += 1
    return first
