"""Compares the ways from a model to bytes and back: ``python -m benchmarks.codec``.

The rows named "cqrsbus" are what the bus does. Some of the others are faster, and wrong: pydantic's JSON mode turns
NaN into null, masks secrets and cuts odd time zones, all without a word.
"""

import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import msgpack
from pydantic import BaseModel

from cqrsbus.bus.codec import JSON, MSGPACK
from cqrsbus.bus.types import message_type

ROUNDS, REPEATS = 5_000, 5


class Small(BaseModel):
    """Two plain fields."""

    name: str
    count: int


class Email(BaseModel):
    """A typical command."""

    subject: str
    content: str
    send_time: datetime


class Report(BaseModel):
    """Nesting and several types."""

    ident: UUID
    at: datetime
    score: float
    tags: list[str]
    email: Email
    counts: dict[str, int]


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EMAIL = Email(subject="Account", content="hello " * 10, send_time=NOW)
REPORT = Report(ident=UUID(int=7), at=NOW, score=0.5, tags=["a", "b"], email=EMAIL, counts={"a": 1})
SAMPLES: list[BaseModel] = [Small(name="a", count=1), EMAIL, REPORT]


def isoformat(value: object) -> str:
    """Write what msgpack does not know."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def routes(value: BaseModel) -> dict[str, Callable[[], object]]:
    """Return each way to write or read a value."""
    into = message_type(type(value))
    packed, text = MSGPACK.encode(value), JSON.encode(value)
    return {
        "write: cqrsbus msgpack": lambda: MSGPACK.encode(value),
        "write: packb(model_dump(), default=hook)": lambda: msgpack.packb(value.model_dump(), default=isoformat),
        "write: packb(model_dump(mode='json'))": lambda: msgpack.packb(value.model_dump(mode="json")),
        "write: cqrsbus json": lambda: JSON.encode(value),
        "write: model_dump_json()": lambda: value.model_dump_json(),
        "read: cqrsbus msgpack": lambda: MSGPACK.decode(packed, into),
        "read: model_validate(unpackb())": lambda: type(value).model_validate(msgpack.unpackb(packed)),
        "read: cqrsbus json": lambda: JSON.decode(text, into),
        "read: model_validate_json()": lambda: type(value).model_validate_json(text),
    }


def main() -> None:
    """Print the best time of each route, in microseconds."""
    for value in SAMPLES:
        print(
            f"{type(value).__name__}: {len(MSGPACK.encode(value))} bytes in msgpack, {len(JSON.encode(value))} in JSON"
        )
        for name, route in routes(value).items():
            best = min(timeit.repeat(route, number=ROUNDS, repeat=REPEATS)) / ROUNDS
            print(f"  {name:44}{best * 1e6:7.2f} us")


if __name__ == "__main__":
    main()
