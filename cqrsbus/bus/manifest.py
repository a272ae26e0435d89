"""What a bus declares: the contracts of its handlers, and of the messages that it needs others to handle.

A handler reads its message and writes its answer; whoever needs a message writes it and reads the answer. So the same
class has two schemas, one for each side.
"""

import inspect
import os
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from cqrsbus.bus.handler import Handler, HandlerKind
from cqrsbus.bus.types import message_type
from cqrsbus.contracts.canonical import Schema
from cqrsbus.contracts.contract import Contract, contract, encode_contracts
from cqrsbus.contracts.schema import Side, schema_of
from cqrsbus.errors import TopologyError
from cqrsbus.messages import Command, Event, Query, answer_type, topic_of
from cqrsbus.routing.limits import MAX_CONTRACT, MAX_CONTRACTS

MessageClass: TypeAlias = type[Command] | type[Query[Any]] | type[Event]

_MAX_VERSION: Final = 64


class Manifest:
    """What one bus declares.

    Args:
        service: Its name.
        version: The service's version; empty for none.
        requires: The messages that it needs others to handle.

    Raises:
        TypeError: One of them is no class of Command, Query or Event.
        TopologyError: One of them has no topic.
        ValueError: The version is too long.
    """

    def __init__(self, service: str, version: str, requires: Sequence[MessageClass]) -> None:
        if len(version) > _MAX_VERSION or not version.isprintable():
            raise ValueError(
                f"the version {version[:_MAX_VERSION]!r} is not at most {_MAX_VERSION} printable characters"
            )
        self._service = service
        self._version = version
        for each in requires:
            _check_required(each)
        self.requires = tuple(dict.fromkeys(requires))

    def required(self) -> list[Contract]:
        """The contracts of what is needed.

        Raises:
            InvalidMessageError: A class cannot be carried.
        """
        return [self._required(each) for each in self.requires]

    def handled(self, handlers: Sequence[Handler]) -> list[Contract]:
        """The contracts of handlers."""
        return [self._handled(handler) for handler in handlers]

    def bodies(self, subscriptions: Sequence[Sequence[Handler]]) -> list[bytes]:
        """The contracts as they travel with subscriptions, within what a broker keeps.

        Where a schema is too large its hash is sent alone; where even that is too much, nothing.

        Args:
            subscriptions: The handlers behind each.
        """
        room, bodies = MAX_CONTRACTS, list[bytes]()
        for handlers in subscriptions:
            contracts = self.handled(handlers)
            full = encode_contracts(contracts)
            short = encode_contracts([each.without_schemas() for each in contracts])
            body = next((each for each in (full, short) if len(each) <= min(MAX_CONTRACT, room)), b"")
            room -= len(body)
            bodies.append(body)
        return bodies

    def _handled(self, handler: Handler) -> Contract:
        answers = handler.kind is HandlerKind.QUERY
        return contract(
            handler.kind.value,
            handler.topic,
            _schema(handler.message_annotation, "reader"),
            _schema(handler.returns, "writer") if answers else None,
            place=f"{handler.name} ({_near(handler.location)})",
            service=self._service,
            version=self._version,
        )

    def _required(self, cls: type) -> Contract:
        kind = _kind(cls)
        assert kind is not None, "it was checked when the bus was made"
        answer = answer_type(cls) if kind is HandlerKind.QUERY else None
        return contract(
            kind.value,
            topic_of(cls) or "",
            _schema(cls, "writer"),
            None if answer is None else _schema(answer, "reader"),
            place=f"{cls.__module__}.{cls.__qualname__} ({_near(_location(cls))})",
            service=self._service,
            version=self._version,
        )


def _schema(annotation: object, side: Side) -> Schema:
    return schema_of(message_type(annotation).adapter, side)


def _kind(cls: type) -> HandlerKind | None:
    return next((kind for kind in HandlerKind if issubclass(cls, kind.message_class)), None)


def _check_required(cls: object) -> None:
    if not isinstance(cls, type) or _kind(cls) is None:
        raise TypeError(f"requires= takes classes of Command, Query and Event, not {cls!r}")
    if topic_of(cls) is None:
        raise TopologyError(
            f"{cls.__module__}.{cls.__qualname__} is required and has no topic: "
            f"write class {cls.__qualname__}(..., topic='a.topic')"
        )


def _location(cls: type) -> str:
    try:
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):
        return "no source"


def _near(location: str) -> str:
    """A location as seen from here: files below the current directory without it."""
    return location.removeprefix(f"{os.getcwd()}{os.sep}")
