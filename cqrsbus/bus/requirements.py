"""What a bus says of itself and of others when it is made: its version, and the messages that others must handle."""

from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias

from cqrsbus.bus.handler import HandlerKind
from cqrsbus.errors import TopologyError
from cqrsbus.messages import Command, Event, Query
from cqrsbus.topics import topic_of

MessageClass: TypeAlias = type[Command] | type[Query[Any]] | type[Event]

CheckMode: TypeAlias = Literal["error", "warn", "wait"]
MODES: Final = ("error", "warn", "wait")

_MAX_VERSION: Final = 64


def check_version(version: str) -> str:
    """Return a service's version, empty for none, if it is one.

    Raises:
        ValueError: It is too long, or not printable.
    """
    if len(version) > _MAX_VERSION or not version.isprintable():
        raise ValueError(f"the version {version[:_MAX_VERSION]!r} is not at most {_MAX_VERSION} printable characters")
    return version


def check_requires(requires: Sequence[MessageClass]) -> tuple[MessageClass, ...]:
    """Return the classes of messages that are required, each once.

    Raises:
        TypeError: One of them is no class of Command, Query or Event.
        TopologyError: One of them has no topic.
    """
    for each in requires:
        _check_required(each)
    return tuple(dict.fromkeys(requires))


def kind_of(cls: type) -> HandlerKind | None:
    """Who handles a class of messages; None if it is none."""
    return next((kind for kind in HandlerKind if issubclass(cls, kind.message_class)), None)


def _check_required(cls: object) -> None:
    if not isinstance(cls, type) or kind_of(cls) is None:
        raise TypeError(f"requires= takes classes of Command, Query and Event, not {cls!r}")
    if topic_of(cls) is None:
        raise TopologyError(
            f"{cls.__module__}.{cls.__qualname__} is required and has no topic: "
            f"write class {cls.__qualname__}(..., topic='a.topic')"
        )
