"""What a query handler declares to answer, and whether that can be what its query asks for.

A bus does not prove types: a mismatch is refused only where both sides are plain classes of which neither can be
the other. Unions, generics, protocols, containers (a dict may be encoded into the right shape) and numbers (an int is
accepted where a float is asked for) are left to the type checker.
"""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Collection
from numbers import Number
from types import NoneType
from typing import Any, Final, TypeGuard, get_args, get_origin, is_typeddict

from cqrsbus.bus.annotations import bare
from cqrsbus.bus.callables import Described
from cqrsbus.bus.handler import HandlerKind
from cqrsbus.errors import TopologyError
from cqrsbus.messages import Query, answer_type

_ASYNC_ITERABLES: Final[tuple[object, ...]] = (AsyncIterable, AsyncIterator, AsyncGenerator)


def declared_answer(described: Described, kind: HandlerKind, annotation: object) -> object:
    """Return the type of what a handler answers; for a stream, of each item.

    Args:
        described: The handler's function.
        kind: Which verb it answers.
        annotation: Its return annotation, resolved; None if it has none.

    Raises:
        TypeError: A query handler does not say what it answers.
    """
    if kind is not HandlerKind.QUERY:
        return annotation
    if annotation is None:
        raise TypeError(
            f"{described} is a query handler and does not say what it answers: "
            f"add a return annotation, as in '-> EmailQueryResponse'"
        )
    if described.is_stream:
        return _item(described, annotation)
    if _iterates(annotation):
        raise TypeError(
            f"{described} says that it answers with {annotation!r} but is no async generator: "
            f"write 'async def' with 'yield', or return one answer"
        )
    return annotation


def _iterates(annotation: object) -> bool:
    plain = bare(annotation)
    origin: object = get_origin(plain) or plain
    return any(origin is known for known in _ASYNC_ITERABLES)


def _item(described: Described, annotation: object) -> object:
    arguments: tuple[object, ...] = get_args(bare(annotation))
    if not (_iterates(annotation) and arguments):
        raise TypeError(
            f"{described} is a stream of answers but is declared to return {annotation!r}: "
            f"annotate it with '-> AsyncIterator[Item]'"
        )
    return arguments[0]


def check_answer(described: Described, message: object, declared: object) -> None:
    """Refuse an answer that certainly is not what the query asks for.

    Args:
        described: The handler's function.
        message: The annotation of its message.
        declared: What it answers.

    Raises:
        TopologyError: Neither the declared class nor the query's can be the other.
    """
    query = bare(message)
    if not _is_query_class(query):
        return
    wanted = bare(answer_type(query))
    declared = bare(declared)
    if _certainly_unrelated(wanted, declared):
        raise TopologyError(
            f"{described} answers with {_named(declared)}, but {query.__qualname__} asks for {_named(wanted)}: "
            f"return {_named(wanted)}, or change the class to Query[{_named(declared)}]"
        )


def _is_query_class(annotation: object) -> TypeGuard[type[Query[object]]]:
    return isinstance(annotation, type) and issubclass(annotation, Query)


def _certainly_unrelated(wanted: object, declared: object) -> bool:
    if not (_is_plain_class(wanted) and _is_plain_class(declared)):
        return False
    if issubclass(wanted, declared) or issubclass(declared, wanted):
        return False
    numbers = all(issubclass(plain, Number) for plain in (wanted, declared))
    return not (numbers or _is_container(wanted) or _is_container(declared))


def _is_plain_class(annotation: object) -> TypeGuard[type]:
    if not isinstance(annotation, type) or get_origin(annotation) is not None:
        return False
    if annotation is Any or is_typeddict(annotation):  # Any is a class, too
        return False
    return not getattr(annotation, "_is_protocol", False)


def _is_container(plain: type) -> bool:
    return issubclass(plain, Collection) and not issubclass(plain, (str, bytes))


def _named(annotation: object) -> str:
    if annotation is NoneType:
        return "None"
    return annotation.__qualname__ if isinstance(annotation, type) else repr(annotation)
