"""The parameters of a function that the bus will call, with what their annotations mean."""

import inspect
from inspect import Parameter
from types import NoneType
from typing import Final

from cqrsbus.bus.annotations import UnresolvedError, alternatives, resolve
from cqrsbus.bus.callables import Described
from cqrsbus.bus.context import Context
from cqrsbus.bus.depends import Depends, depends_in, is_misplaced_in

_GATHERING: Final = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
#: An annotation that names one of these decides what the parameter gets.
_TELLING: Final = (Context.__name__, Depends.__name__)


def parameters_of(described: Described) -> list[Parameter]:
    """Return the parameters in order, each with its annotation resolved, without those that gather the rest.

    Args:
        described: The function.

    Raises:
        TypeError: It does not tell its parameters, or what an annotation names is not to be found.
    """
    try:
        found = inspect.signature(described.function).parameters.values()
    except ValueError as error:  # some builtins have none
        raise TypeError(f"{described} does not tell its parameters: wrap it in a function that does") from error
    return [
        parameter.replace(annotation=_annotation(described, parameter))
        for parameter in found
        if parameter.kind not in _GATHERING
    ]


def unresolved(described: Described, what: str, annotation: object, error: UnresolvedError) -> TypeError:
    """Say that an annotation cannot be resolved, and what to do."""
    return TypeError(
        f"the annotation {annotation!r} of {what} of {described} cannot be resolved: {error}. "
        f"Import or define what it names at module level, outside of 'if TYPE_CHECKING', before the handler"
    )


def is_context(parameter: Parameter) -> bool:
    """Whether a parameter gets the context."""
    return [each for each in alternatives(parameter.annotation) if each is not NoneType] == [Context]


def depends_of(described: Described, parameter: Parameter) -> Depends | None:
    """Return what a parameter depends on; None if it does not.

    Raises:
        TypeError: It says so more than once, or where it would not count.
    """
    if isinstance(parameter.default, Depends):
        raise TypeError(
            f"parameter {parameter.name!r} of {described} has {parameter.default} as its default: "
            f"write '{parameter.name}: Annotated[T, {parameter.default}]'"
        )
    if is_misplaced_in(parameter.annotation):
        raise TypeError(
            f"parameter {parameter.name!r} of {described} has a dependency where it does not count: give it a function "
            f"and write it around the whole type, as in '{parameter.name}: Annotated[T | None, Depends(f)]'"
        )
    found = depends_in(parameter.annotation)
    if len(found) > 1:
        raise TypeError(f"parameter {parameter.name!r} of {described} has {len(found)} Depends: keep one")
    return found[0] if found else None


def _annotation(described: Described, parameter: Parameter) -> object:
    """The resolved annotation of a parameter, or Parameter.empty if it has none that matters."""
    if parameter.annotation is Parameter.empty:
        return Parameter.empty
    try:
        return resolve(parameter.annotation, described.written)
    except UnresolvedError as error:
        is_left_alone = parameter.default is not Parameter.empty
        if is_left_alone and not any(name in str(parameter.annotation) for name in _TELLING):
            return Parameter.empty
        raise unresolved(described, f"parameter {parameter.name!r}", parameter.annotation, error) from error
