"""The message that every system carries: a small pydantic model with a date, of about 130 bytes."""

from datetime import UTC, datetime

import msgpack

from cqrsbus import Command, Event, Query
from cqrsbus.bus.codec import MSGPACK
from cqrsbus.bus.types import message_type


class Stored(Event, topic="bench.stored"):
    """What is published."""

    subject: str
    content: str
    send_time: datetime


class Store(Command, topic="bench.store"):
    """What is sent."""

    subject: str
    content: str
    send_time: datetime


class Find(Query[bool], topic="bench.find"):
    """What is asked."""

    subject: str
    content: str
    send_time: datetime


_NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
_FIELDS = {"subject": "Account", "content": "hello " * 9, "send_time": _NOW}

STORED = Stored.model_validate(_FIELDS)
STORE = Store.model_validate(_FIELDS)
FIND = Find.model_validate(_FIELDS)
#: The same as bytes, for the systems that carry bytes.
BODY = MSGPACK.encode(STORED)


def there_and_back() -> None:
    """Encode, decode and validate, as the bus does: the least that a typed bus can cost."""
    MSGPACK.decode(MSGPACK.encode(STORED), _STORED)


def there_and_back_by_hand() -> None:
    """The same without a bus, by the shortest way that pydantic and msgpack offer; see ``benchmarks.codec``."""
    Stored.model_validate(msgpack.unpackb(msgpack.packb(STORED.model_dump(mode="json"))))


_STORED = message_type(Stored)
