"""What a bus declares: the contracts of its handlers, and of the messages that it needs others to handle.

A handler reads its message and writes its answer; whoever needs a message writes it and reads the answer. So the same
class has two schemas, one for each side.
"""

import inspect
import os
from collections.abc import Sequence

from cqrsbus.bus.handler import Handler, HandlerKind
from cqrsbus.bus.requirements import MessageClass, check_requires, check_version, kind_of
from cqrsbus.bus.types import message_type
from cqrsbus.contracts.canonical import Schema
from cqrsbus.contracts.contract import Contract, contract, encode_contracts
from cqrsbus.contracts.schema import Side, schema_of
from cqrsbus.messages import answer_type
from cqrsbus.routing.limits import MAX_CONTRACT, MAX_CONTRACTS
from cqrsbus.topics import topic_of


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
        self._service = service
        self._version = check_version(version)
        self.requires = check_requires(requires)

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
        kind = kind_of(cls)
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


def _location(cls: type) -> str:
    try:
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):
        return "no source"


def _near(location: str) -> str:
    """A location as seen from here: files below the current directory without it."""
    return location.removeprefix(f"{os.getcwd()}{os.sep}")
