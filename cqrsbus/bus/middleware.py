"""Middleware: what an application puts around every call it makes, and around every message it handles.

- A middleware is a plain async callable of two arguments: what is about to happen, and what makes it happen.
  Awaiting ``call_next`` once is passing it on; not at all, answering by itself; twice, trying again.
- The first declared is the outermost: it sees the call first, and the answer or the error last.
- What is passed on may be another ``Call`` or ``Handling`` than came in; make it with ``dataclasses.replace``.
- What a middleware raises is raised at the call, or fails the message as if its handler had raised it.
- A chain is built when its last middleware is declared or when its handler is bound, never per message. Where there
  is none, there is no chain, and nothing is paid but the look.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Literal, TypeAlias, TypeVar

import anyio

from cqrsbus.bus.callables import place
from cqrsbus.bus.context import Context
from cqrsbus.bus.handler import Handler

Verb: TypeAlias = Literal["send", "ask", "publish", "stream", "gather"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that is about to be made; for a stream or a gathering, its opening.

    Args:
        verb: Which method of the bus was called.
        topic: Where it goes.
        message: What is said, before it is encoded.
        headers: The application's own pairs. They belong to this call: add to them as you like.
        timeout: Seconds that passing it on may take, each time; None for no limit. It may be made less; more than
            the caller granted in all, it never becomes.
        message_id: Its id, if the caller gave one.
        wait: Whether a ``send`` returns only when the command was handled.
        returns: What the answer of an ``ask`` is read as; ``...`` for what the message's class says.
        raises: The exceptions that the call raises as they are, beside those of the message's class.
        credit: Answers of a ``stream`` that may be under way.
        credit_bytes: Bytes of a ``stream`` that may be under way.
        deadline: When the time that the caller granted is over, on the clock of ``anyio.current_time()`` (seconds).
    """

    verb: Verb
    topic: str
    message: object
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    timeout: float | None = None
    message_id: str | None = None
    wait: bool = False
    returns: object = ...
    raises: tuple[type[Exception], ...] = ()
    credit: int = 64
    credit_bytes: int = 1024 * 1024
    deadline: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """One message that is about to be handled.

    Args:
        message: The message, decoded into what its handler declared.
        context: What is known of it: its ids, its topic, its headers, who sent it.
        handler: Who is to handle it; another one does not take its place.
    """

    message: object
    context: Context
    handler: Handler


def begin(
    verb: Verb,
    topic: str,
    message: object,
    timeout: float | None,
    headers: Mapping[str, str] | None,
    *,
    message_id: str | None = None,
    wait: bool = False,
    returns: object = ...,
    raises: Sequence[type[Exception]] = (),
    credit: int = 64,
    credit_bytes: int = 1024 * 1024,
) -> Call:
    """Say what a call that starts now is, for its middleware; the time that its caller granted begins."""
    return Call(
        verb=verb,
        topic=topic,
        message=message,
        headers=dict(headers or {}),
        timeout=timeout,
        message_id=message_id,
        wait=wait,
        returns=returns,
        raises=tuple(raises),
        credit=credit,
        credit_bytes=credit_bytes,
        deadline=None if timeout is None else anyio.current_time() + timeout,
    )


NextCall: TypeAlias = Callable[[Call], Awaitable[Any]]
"""What a middleware around calls passes a call on with."""
CallMiddleware: TypeAlias = Callable[[Call, NextCall], Awaitable[Any]]
"""What ``bus.call_middleware`` takes."""
NextHandling: TypeAlias = Callable[[Handling], Awaitable[Any]]
"""What a middleware around handling passes a message on with."""
HandlingMiddleware: TypeAlias = Callable[[Handling, NextHandling], Awaitable[Any]]
"""What ``bus.handling_middleware`` and ``group.handling_middleware`` take."""

Passed = TypeVar("Passed")


def chain(
    middleware: Sequence[Callable[[Passed, Callable[[Passed], Awaitable[Any]]], Awaitable[Any]]],
    innermost: Callable[[Passed], Awaitable[Any]],
) -> Callable[[Passed], Awaitable[Any]]:
    """Put middleware around something.

    Args:
        middleware: The first is the outermost.
        innermost: What all of it is around.
    """
    return reduce(_around, reversed(middleware), innermost)


def _around(
    inner: Callable[[Passed], Awaitable[Any]],
    middleware: Callable[[Passed, Callable[[Passed], Awaitable[Any]]], Awaitable[Any]],
) -> Callable[[Passed], Awaitable[Any]]:
    def call_next(passed: Passed) -> Awaitable[Any]:
        return middleware(passed, inner)

    return call_next


def check_middleware(function: object) -> None:
    """Refuse what cannot be a middleware.

    Args:
        function: What was declared.

    Raises:
        TypeError: It is no callable of two arguments that can be awaited.
    """
    if isinstance(function, type):
        raise TypeError(f"{function.__module__}.{function.__qualname__} is a class: declare an instance as middleware")
    if not callable(function):
        raise TypeError(f"a middleware is an async callable, not {function!r}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"the middleware {place(function)} yields: write 'await call_next(...)' in place of 'yield'")
    try:
        inspect.signature(function).bind(None, None)
    except ValueError:  # some builtins tell no signature
        return
    except TypeError as error:
        raise TypeError(
            f"the middleware {place(function)} does not take two arguments, what is passed and call_next: {error}"
        ) from None
