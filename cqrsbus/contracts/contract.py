"""What one handler takes and gives, or what one caller gives and takes: an entry of a service's manifest.

A handler's contract travels with its subscription, as JSON that the broker keeps and never looks into; so it may come
from any language, from another version, or be nonsense. What cannot be read is nobody's contract.

A schema may be missing where it was too large to be sent. Its hash is always there.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from cqrsbus.contracts.canonical import Schema, canonical, digest

#: The form of what is sent: what has another is not read.
FORM: Final = 1
_MAX_TEXT: Final = 1024
_SCHEMAS: Final = ("message", "answer")
_TEXTS: Final = ("kind", "topic", "message_hash", "answer_hash", "place", "version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """One message, and its answer, as one side declares them.

    Args:
        kind: ``command``, ``query`` or ``event``.
        topic: Its topic; for an event handler perhaps a pattern.
        message: The message's schema: of a handler as it reads it, of a caller as it writes it. None if unknown.
        answer: The answer's schema, the other way round. None for none, or if unknown.
        message_hash: The hash of the message's schema.
        answer_hash: The hash of the answer's schema; empty for none.
        place: Where it is declared: ``module.qualname (file:line)``.
        service: Whose it is.
        version: The service's version; empty if it has not said.
    """

    kind: str
    topic: str
    message: Schema | None
    answer: Schema | None = None
    message_hash: str = ""
    answer_hash: str = ""
    place: str = ""
    service: str = ""
    version: str = ""

    @property
    def hashes(self) -> tuple[str, str]:
        """What tells different declarations apart."""
        return self.message_hash, self.answer_hash

    def __str__(self) -> str:
        who = " ".join(filter(None, (self.service, self.version)))
        return ": ".join(filter(None, (who, self.place)))

    def without_schemas(self) -> "Contract":
        """Return it with hashes alone, which always fit."""
        return replace(self, message=None, answer=None)


def contract(kind: str, topic: str, message: Schema, answer: Schema | None, **more: str) -> Contract:
    """Make a contract from schemas, with their hashes.

    Args:
        kind: ``command``, ``query`` or ``event``.
        topic: Its topic or pattern.
        message: The message's schema.
        answer: The answer's; None for none.
        more: The place, the service, and the version.
    """
    answer_hash = "" if answer is None else digest(answer)
    hashes = {"message_hash": digest(message), "answer_hash": answer_hash}
    return Contract(kind=kind, topic=topic, message=message, answer=answer, **hashes, **more)


def encode_contracts(contracts: Sequence[Contract]) -> bytes:
    """Write contracts as they travel with a subscription; whose they are is said by the broker.

    Args:
        contracts: One for each handler behind it.
    """
    return canonical([_fields(each) for each in contracts])


def decode_contracts(body: bytes, service: str) -> list[Contract]:
    """Read contracts that came from elsewhere; what is none, or has another form, is left out.

    Args:
        body: Any bytes.
        service: Whose they are, as the broker knows it.
    """
    try:
        entries: object = json.loads(body)
        # Half of a surrogate pair can be escaped in JSON, and then neither logged nor shown.
        canonical(entries)
    except (ValueError, RecursionError):
        return []
    if not isinstance(entries, list):
        return []
    read = (_contract(each, service) for each in cast("list[object]", entries))
    return [each for each in read if each is not None]


def _fields(contract: Contract) -> dict[str, Any]:
    named: dict[str, Any] = {name: getattr(contract, name) for name in (*_SCHEMAS, *_TEXTS)}
    return {"form": FORM, **{name: value for name, value in named.items() if value not in (None, "")}}


def _contract(entry: object, service: str) -> Contract | None:
    if not isinstance(entry, Mapping):
        return None
    fields = cast("Mapping[str, Any]", entry)
    if fields.get("form") != FORM:
        return None
    texts = {name: str(fields.get(name, ""))[:_MAX_TEXT] for name in _TEXTS}
    return Contract(
        message=_schema(fields.get("message")), answer=_schema(fields.get("answer")), service=service, **texts
    )


def _schema(value: object) -> Schema | None:
    return cast("Schema", value) if isinstance(value, Mapping) else None
