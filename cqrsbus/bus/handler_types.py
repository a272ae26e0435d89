"""What type checkers let be a handler; what can only be seen at run time is checked there (see signature.py).

- A handler takes its message by position: a function without a parameter is none. Everything else about its parameters
  is its own affair: any type of message takes a ``Never``, and the rest is open.
- Nobody takes an answer from a handler of commands or events, so it returns None, at once or when awaited. That rules
  out async generators too.
- A decorator gives back the very type it was given: a type variable, never a union. Its name is what a checker says
  of a function that does not fit.
"""

from collections.abc import Awaitable, Callable
from typing import Concatenate, Never, TypeVar

#: A handler of commands or events.
TakesMessageReturnsNone = TypeVar(
    "TakesMessageReturnsNone", bound=Callable[Concatenate[Never, ...], Awaitable[None] | None]
)
#: A handler of queries: it returns the answer, an awaitable of it, or an async iterator of several.
TakesMessageReturnsAnswer = TypeVar("TakesMessageReturnsAnswer", bound=Callable[Concatenate[Never, ...], object])
