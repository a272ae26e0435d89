"""Resolve what a handler's annotations mean, also when they are strings.

Names in a string annotation are looked up in the function's module, then in its closure, then in the local
names of the functions and classes that enclose its ``def``, as long as those are still running: a class defined
inside a test function is found when the handler is declared in that same test function.
"""

import sys
from collections.abc import Mapping
from types import FrameType, FunctionType, UnionType
from typing import Annotated, Union, get_args, get_origin, get_type_hints


class UnresolvedError(Exception):
    """A string annotation cannot be evaluated: mostly, it names something that is not to be found."""


class _Annotated:
    """Something for get_type_hints to look at, so that one annotation is resolved without the others."""

    def __init__(self, annotation: object) -> None:
        self.__annotations__ = {"it": annotation}


def resolve(annotation: object, written: object) -> object:
    """Return the type that an annotation stands for, keeping ``Annotated``.

    Args:
        annotation: The annotation as written, perhaps a string.
        written: The function that it was written in, whose names are used; of anything else there are none.

    Raises:
        UnresolvedError: It cannot be evaluated.
    """
    try:
        if not isinstance(written, FunctionType):
            return _hint(annotation, {}, {})
        try:
            return _hint(annotation, written.__globals__, _closure(written))
        except NameError:
            return _hint(annotation, written.__globals__, {**_enclosing(written), **_closure(written)})
    except Exception as error:  # evaluating what somebody wrote may raise anything
        raise UnresolvedError(str(error)) from error


def bare(annotation: object) -> object:
    """Return the annotation without its ``Annotated``."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def alternatives(annotation: object) -> list[object]:
    """Return the members of a union, or the one type that the annotation is, each without its ``Annotated``."""
    plain = bare(annotation)
    if get_origin(plain) not in (Union, UnionType):
        return [plain]
    return [alternative for member in get_args(plain) for alternative in alternatives(member)]


def _hint(annotation: object, names: dict[str, object], local: Mapping[str, object]) -> object:
    hints: dict[str, object] = get_type_hints(_Annotated(annotation), names, local, include_extras=True)
    return hints["it"]


def _closure(written: FunctionType) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, cell in zip(written.__code__.co_freevars, written.__closure__ or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # the enclosing function has not bound it yet
            continue
    return found


def _enclosing(written: FunctionType) -> dict[str, object]:
    """The local names of the running functions and classes that enclose the def; the innermost wins."""
    found: dict[str, object] = {}
    frame: FrameType | None = sys._getframe()  # inspect.currentframe may be None and reads no faster
    while frame is not None:
        same_module = frame.f_globals is written.__globals__
        if same_module and written.__qualname__.startswith(f"{frame.f_code.co_qualname}."):
            found = {**frame.f_locals, **found}
        frame = frame.f_back
    return found
