"""Exceptions that are declared to cross the wire, with ``raises=``.

They travel under the names of their classes, and only what was declared is ever made again: so of the classes that
are declared for one handler, message or call no two may have one name. Those that would stop or confuse an event loop
when they are raised, and groups, which hold other exceptions, cannot be declared.
"""

from collections.abc import Iterable
from typing import Final, cast

Raises = tuple[type[Exception], ...]

_REFUSED: Final[dict[type[Exception], str]] = {
    StopIteration: "Python makes it a RuntimeError when a coroutine raises it",
    StopAsyncIteration: "Python makes it a RuntimeError when a generator raises it",
    ExceptionGroup: "it holds other exceptions: declare those, and raise one of them",
}


def declared_raises(where: str, *declared: object) -> Raises:
    """Check and join what was given as ``raises=``, each class once.

    Args:
        where: What it was declared for, for the text of the error.
        declared: Tuples of exception classes.

    Raises:
        TypeError: A class is none that can be declared, or two have the same name.
    """
    names: dict[str, type[Exception]] = {}
    for given in declared:
        for cls in _classes(given, where):
            other = names.setdefault(cls.__name__, cls)
            if other is not cls:
                raise TypeError(
                    f"{where} raises {_full(other)} and {_full(cls)}, which have one name: rename one of them"
                )
    return tuple(names.values())


def _classes(given: object, where: str) -> list[type[Exception]]:
    if isinstance(given, type):
        raise TypeError(f"raises= of {where} is to be a tuple of classes: write raises=({given.__name__},)")
    if not isinstance(given, Iterable) or isinstance(given, (str, bytes)):
        raise TypeError(f"raises= of {where} is to be a tuple of exception classes, not {given!r}")
    return [_checked(each, where) for each in cast("Iterable[object]", given)]


def _checked(given: object, where: str) -> type[Exception]:
    if not isinstance(given, type) or not issubclass(given, BaseException):
        raise TypeError(f"raises= of {where} has {given!r} in it, which is no class of exceptions")
    if not issubclass(given, Exception):
        raise TypeError(f"raises= of {where} has {_full(given)} in it, which is no Exception: it would stop the caller")
    for refused, why in _REFUSED.items():
        if issubclass(given, refused):
            raise TypeError(f"raises= of {where} has {_full(given)} in it, which cannot cross the wire: {why}")
    return given


def _full(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
