"""What a handler depends on, and what that depends on in turn: found out once, when the handler is declared.

- A parameter of a dependency that is annotated with ``Depends`` gets another dependency, one annotated with ``Context``
  the context. One more that has no default gets the message, if its annotation says that the message is such a thing.
- Other parameters have defaults and are left alone, as are ``*args`` and ``**kwargs``. Nothing is passed because of its
  name, and nothing is converted.
- What can never be called is refused, with the function, its file and its line: something that is no callable, a
  parameter that nobody would pass, a circle.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from inspect import Parameter
from typing import Any, TypeAlias

from cqrsbus.bus.annotations import alternatives
from cqrsbus.bus.callables import Described, listed, look_through
from cqrsbus.bus.depends import Depends
from cqrsbus.bus.parameters import depends_of, is_context, parameters_of


class Making(Enum):
    """How a dependency is made."""

    SYNC = auto()
    ASYNC = auto()
    SYNC_GENERATOR = auto()
    ASYNC_GENERATOR = auto()


@dataclass(frozen=True, slots=True)
class FromContext:
    """A parameter gets the context."""


@dataclass(frozen=True, slots=True)
class FromMessage:
    """A parameter gets the message.

    Args:
        annotation: What the message is declared to be; for the handler's own parameter it is what it says.
    """

    annotation: object


@dataclass(frozen=True, slots=True)
class FromDependency:
    """A parameter gets a dependency.

    Args:
        node: The dependency.
        use_cache: Whether it is shared.
    """

    node: "Node"
    use_cache: bool


Source: TypeAlias = FromContext | FromMessage | FromDependency


@dataclass(frozen=True, slots=True)
class Node:
    """A function whose parameters are known: a dependency, or a handler.

    Args:
        function: What is called.
        described: The same, looked through.
        making: How.
        positional: What its first parameters get that are passed by position.
        named: What others get.
    """

    function: Callable[..., Any]
    described: Described
    making: Making
    positional: tuple[Source, ...]
    named: tuple[tuple[str, Source], ...]

    def __str__(self) -> str:
        return str(self.described)


def analyse_dependency(function: Callable[..., Any], path: tuple[Described, ...] = ()) -> Node:
    """Find out what a dependency depends on.

    Args:
        function: The dependency.
        path: Who depends on it, from the handler on.

    Raises:
        TypeError: It, or something it depends on, can never be called.
    """
    if not callable(function):
        raise TypeError(f"{_for(path)}Depends takes a function, not {function!r}")
    described = look_through(function)
    _refuse_circle(described, path)
    sources = [
        (parameter, source)
        for parameter in parameters_of(described)
        if (source := _source(described, parameter, (*path, described))) is not None
    ]
    messages = [parameter.name for parameter, source in sources if isinstance(source, FromMessage)]
    if len(messages) > 1:
        raise TypeError(
            f"{described} is a dependency with {len(messages)} parameters that nobody would pass ({listed(messages)}): "
            f"annotate them with Depends, or give them defaults; only one can take the message"
        )
    return node_of(described, sources)


def node_of(described: Described, sources: list[tuple[Parameter, Source]]) -> Node:
    """Put together what a function is called with.

    Args:
        described: The function.
        sources: The parameters that get something, in order, and what they get.
    """
    positional = tuple(source for parameter, source in sources if parameter.kind is Parameter.POSITIONAL_ONLY)
    named = tuple((p.name, source) for p, source in sources if p.kind is not Parameter.POSITIONAL_ONLY)
    return Node(described.function, described, _making(described), positional, named)


def depended_on(depends: Depends, path: tuple[Described, ...]) -> FromDependency:
    """What a parameter gets that is annotated with ``Depends``.

    Args:
        depends: What it says.
        path: Whose parameter it is, from the handler on.

    Raises:
        TypeError: The dependency can never be called.
    """
    return FromDependency(analyse_dependency(depends.dependency, path), depends.use_cache)


def is_such(message: object, annotation: object) -> bool:
    """Whether a message is of a declared type, as far as classes can tell.

    Args:
        message: The annotation of a handler's message.
        annotation: What a dependency takes.
    """
    wanted = alternatives(annotation)
    return all(any(_is_one(given, each) for each in wanted) for given in alternatives(message))


def _is_one(given: object, wanted: object) -> bool:
    if given == wanted or wanted is Any or wanted is object or getattr(wanted, "_is_protocol", False):
        return True
    return isinstance(given, type) and isinstance(wanted, type) and issubclass(given, wanted)


def _source(described: Described, parameter: Parameter, path: tuple[Described, ...]) -> Source | None:
    depends = depends_of(described, parameter)
    if depends is not None:
        return depended_on(depends, path)
    if is_context(parameter):
        return FromContext()
    return FromMessage(parameter.annotation) if parameter.default is Parameter.empty else None


def _making(described: Described) -> Making:
    if described.is_stream:
        return Making.ASYNC_GENERATOR
    if described.is_generator:
        return Making.SYNC_GENERATOR
    return Making.ASYNC if described.is_async else Making.SYNC


def _refuse_circle(described: Described, path: tuple[Described, ...]) -> None:
    if any(described.function == each.function for each in path):
        circle = " -> ".join(str(each) for each in (*path, described))
        raise TypeError(f"{described} depends on itself: {circle}")


def _for(path: tuple[Described, ...]) -> str:
    return f"{path[-1]}: " if path else ""
