"""Every kind of message, through a broker, in both codecs."""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, Literal, NamedTuple
from uuid import UUID

import anyio
import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from cqrsbus import Bus, Event, InvalidMessageError, Query

pytestmark = pytest.mark.anyio


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Address(BaseModel):
    street: str
    zip: int | None = None


class Person(BaseModel):
    name: str
    home: Address
    others: list[Address] = []


@dataclass
class Point:
    x: float
    y: float


class Pair(NamedTuple):
    left: int
    right: str


class Options(TypedDict):
    deep: dict[str, list[int]]


class Base(Event, topic="base"):
    number: int


class Derived(Base):
    more: str


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    lives: int


class Ask(Query[dict[int, str]], topic="ask"):
    numbers: tuple[int, ...]


VALUES: list[tuple[Any, object]] = [
    (str, "Grüße, 世界 🎉"),
    (bytes, bytes(range(256))),
    (bool, True),
    (type(None), None),
    (int, -5),
    (int, 2**63 - 1),
    (float, 0.1),
    (datetime, datetime(2024, 2, 29, 12, 30, 1, 5, tzinfo=timezone(timedelta(hours=5, minutes=30)))),
    (datetime, datetime(2024, 2, 29, tzinfo=UTC)),
    (date, date(1999, 12, 31)),
    (time, time(23, 59, 59, 999999)),
    (timedelta, timedelta(days=-1, seconds=3, microseconds=1)),
    (UUID, UUID("12345678-1234-5678-1234-567812345678")),
    (Decimal, Decimal("0.10000000000000000000001")),
    (Colour, Colour.RED),
    (Level, Level.HIGH),
    (list[int], [1, 2, 3]),
    (tuple[int, str], (1, "a")),
    (set[int], {1, 2}),
    (frozenset[str], frozenset({"a"})),
    (dict[int, str], {1: "a", -2: "b"}),
    (dict[str, Decimal], {"a": Decimal("1.5")}),
    (Person, Person(name="A", home=Address(street="s"), others=[Address(street="t", zip=1)])),
    (Point, Point(1.0, -2.5)),
    (Pair, Pair(1, "r")),
    (Options, {"deep": {"a": [1]}}),
    (Cat | Dog, Dog(lives=1)),
    (int | str | None, "7"),
    (Base, Derived(number=1, more="m")),
]


@pytest.mark.parametrize("codec", ["msgpack", "json"])
async def test_what_is_sent_is_what_is_read(url: str, codec: str) -> None:
    with anyio.fail_after(20):
        async with Bus("listener", url) as listener, Bus("teller", url, codec=codec) as teller:
            for annotation, value in VALUES:
                async with listener.subscribe("value", annotation) as values:
                    await teller.publish("value", value)
                    read = await anext(values)
                    if isinstance(value, Derived):
                        assert read == Base(number=1)
                    else:
                        assert read == value
                        assert type(read) is type(value)


@pytest.mark.parametrize("codec", ["msgpack", "json"])
async def test_a_subclass_keeps_its_fields_for_who_asks_for_it(url: str, codec: str) -> None:
    with anyio.fail_after(10):
        async with Bus("both", url, codec=codec) as bus, bus.subscribe("base", Derived) as derived:
            await bus.publish(Derived(number=1, more="m"))
            assert await anext(derived) == Derived(number=1, more="m")


@pytest.mark.parametrize("codec", ["msgpack", "json"])
@pytest.mark.parametrize("value", [{1, "a"}, object(), lambda: None, 2**70, float("nan"), {(1, 2): 3}, sys])
async def test_what_cannot_travel_is_refused_or_comes_back_the_same(url: str, codec: str, value: object) -> None:
    with anyio.fail_after(10):
        async with Bus("both", url, codec=codec) as bus, bus.subscribe("value", Any) as values:
            refusal: InvalidMessageError | None = None
            try:
                await bus.publish("value", value)
            except InvalidMessageError as error:
                refusal = error
            if refusal is not None:
                assert refusal.reason
                assert refusal.topic == "value"
            else:
                assert _same(await anext(values), value)


def _same(read: object, value: object) -> bool:
    if isinstance(value, float):
        return isinstance(read, float) and math.isnan(read) == math.isnan(value)
    if isinstance(value, set):
        return isinstance(read, list) and set(read) == value
    return read == value


@pytest.mark.parametrize("asker", ["msgpack", "json"])
@pytest.mark.parametrize("answerer", ["msgpack", "json"])
async def test_each_side_chooses_its_own_codec(url: str, asker: str, answerer: str) -> None:
    bus = Bus("answering", url, codec=answerer)

    @bus.query_handler()
    async def answer(query: Ask) -> dict[int, str]:
        return {number: str(number) for number in query.numbers}

    with anyio.fail_after(10):
        async with bus, Bus("asking", url, codec=asker) as asking:
            answered: Mapping[int, str] = await asking.ask(Ask(numbers=(1, 2)))
            assert answered == {1: "1", 2: "2"}
            assert await asking.ask("ask", {"numbers": [3]}, returns=dict[int, str]) == {3: "3"}
