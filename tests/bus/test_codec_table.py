"""The truth table of the codecs: each value comes back exactly, in type and value, or is refused when written."""

import math
from collections import deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from ipaddress import IPv4Address
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, Json, JsonValue, RootModel, SecretStr
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import TypedDict

from cqrsbus.bus.codec import JSON, MSGPACK, Codec
from cqrsbus.bus.types import message_type
from cqrsbus.errors import InvalidMessageError
from cqrsbus.messages import Command

T = TypeVar("T")
NOON = datetime(2026, 1, 2, 12, 30, 15, 123456, tzinfo=UTC)
KATHMANDU = timezone(timedelta(hours=5, minutes=45))
ID = UUID("8c2f6f5e-1c2b-4f0e-9d3a-0123456789ab")
ANY_BYTES = bytes(range(256))


class Colour(Enum):
    RED = "red"
    ONE = 1


class Level(IntEnum):
    LOW = 1


class Word(StrEnum):
    HELLO = "hello"


class Odd(Enum):
    PAIR = (1, 2)


class Point(NamedTuple):
    x: int
    at: datetime


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


@dataclass
class Plain:
    x: int
    at: datetime


@pydantic_dataclass
class Checked:
    x: int
    tags: set[str]


class Inner(BaseModel):
    at: datetime
    ids: tuple[UUID, ...] = ()


class Outer(BaseModel):
    inner: Inner
    many: list[Inner]
    named: dict[str, Inner]
    plain: Plain
    perhaps: Inner | None = None


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    name: str


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: str


class Box(BaseModel, Generic[T]):
    item: T


class Names(RootModel[list[str]]):
    pass


class Node(BaseModel):
    name: str
    children: list["Node"] = []


class Aliased(BaseModel):
    from_: str = Field(alias="from")
    to: str = Field(default="", serialization_alias="recipient", validation_alias="recipient")


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    at: datetime
    ids: set[UUID]
    n: int
    by_day: dict[date, Decimal]


class Blob(Command):
    data: bytes


class JsonField(BaseModel):
    numbers: Json[list[int]]


class Key(BaseModel, frozen=True):
    x: int


INNER = Inner(at=NOON, ids=(ID,))
Pet = Annotated[Cat | Dog, Field(discriminator="kind")]

ROUND_TRIPS: list[tuple[Any, Any]] = [
    (None, None),
    (bool, True),
    (int, 0),
    (int, -(2**63)),
    (int, 2**64 - 1),
    (float, 0.1),
    (float, 1.0),
    (float, 1e300),
    (str, "Grüße, 邮件, 🎉, \0"),
    (datetime, NOON),
    (datetime, NOON.astimezone(KATHMANDU)),
    (datetime, datetime(2026, 7, 1, 9, tzinfo=ZoneInfo("Europe/Berlin"))),
    (datetime, datetime(2026, 1, 2, 3, 4, 5)),  # noqa: DTZ001
    (datetime, datetime.max.replace(tzinfo=UTC)),
    (datetime, datetime.min.replace(tzinfo=UTC)),
    (date, date(1, 1, 1)),
    (time, time(1, 2, 3, 4)),
    (time, time(1, 2, tzinfo=KATHMANDU)),
    (timedelta, timedelta(days=-3, microseconds=7)),
    (timedelta, timedelta.max),
    (UUID, ID),
    (Decimal, Decimal("0.10")),
    (Decimal, Decimal("-1E+400")),
    (Fraction, Fraction(1, 3)),
    (Colour, Colour.RED),
    (Colour, Colour.ONE),
    (Level, Level.LOW),
    (Word, Word.HELLO),
    (bytes, b"text"),
    (Path, Path("/tmp/a b")),
    (PurePosixPath, PurePosixPath("a/b")),
    (IPv4Address, IPv4Address("127.0.0.1")),
    (AnyUrl, AnyUrl("https://example.org/a?b=c")),
    (list[datetime], [NOON]),
    (tuple[int, str, datetime], (1, "a", NOON)),
    (tuple[UUID, ...], (ID, ID)),
    (set[UUID], {ID}),
    (set[bytes], {b"a", b"b"}),
    (frozenset[date], frozenset({date(2026, 1, 1)})),
    (deque[int], deque([1, 2])),
    (dict[str, Any], {"a": [1, None, {"b": 1.5}]}),
    (dict[int, str], {1: "a", -5: "b"}),
    (dict[UUID, int], {ID: 1}),
    (dict[date, int], {date(2026, 1, 1): 1}),
    (dict[datetime, int], {NOON: 1}),
    (dict[Decimal, int], {Decimal("1.50"): 1}),
    (dict[Literal["a", "b"], int], {"a": 1}),
    (dict[Level, int], {Level.LOW: 1}),
    (dict[Word, int], {Word.HELLO: 1}),
    (dict[Level, int], {Level.LOW: 1}),
    (dict[bool, int], {True: 1}),
    (dict[str, dict[UUID, list[set[int]]]], {"a": {ID: [{1}]}}),
    (Point, Point(1, NOON)),
    (Movie, {"title": "Stalker"}),
    (Plain, Plain(1, NOON)),
    (Checked, Checked(1, {"a"})),
    (list[Plain], [Plain(1, NOON)]),
    (Outer, Outer(inner=INNER, many=[INNER], named={"a": INNER}, plain=Plain(1, NOON))),
    (Box[Inner], Box[Inner](item=Inner(at=NOON))),
    (Box[set[int]], Box[set[int]](item={1})),
    (Names, Names(["a"])),
    (Node, Node(name="a", children=[Node(name="b")])),
    (Aliased, Aliased.model_validate({"from": "a", "recipient": "b"})),
    (Strict, Strict(at=NOON, ids={ID}, n=1, by_day={date(2026, 1, 1): Decimal("1.10")})),
    (Blob, Blob(data=ANY_BYTES)),
    (JsonField, JsonField.model_validate({"numbers": "[1,2]"})),
    (JsonValue, {"a": [1, "b", None, 1.5, True]}),
    (int | str, 1),
    (int | str, "1"),
    (bool | int | float | str | None, 1.0),
    (bool | int | float | str | None, True),
    (bool | int | float | str | None, None),
    (datetime | int, NOON),
    (datetime | int, 5),
    (float | UUID, ID),
    (list[int] | str, "a"),
    (list[int] | dict[str, int], [1]),
    (Literal["a", 1] | None, 1),
    (Pet, Dog(name="Rex")),
    (Cat | Dog, Dog(name="Rex")),
    (Box[Pet], Box[Pet](item=Cat(name="Tom"))),
    (Inner | Cat, Cat(name="Tom")),
    (list[int | str], [1, "1"]),
]  # fmt: skip

ONLY_MSGPACK: list[tuple[Any, Any]] = [
    (float, math.inf),
    (list[float], [-math.inf]),
    (str | bytes, "a"),
    (str | bytes, b"a"),
    (dict[int | str, int], {1: 1, "1": 2}),
    (dict[float, int], {1.5: 1}),
    (dict[bytes, int], {ANY_BYTES: 1}),
    (dict[int | None, int], {None: 1}),
    (dict[Colour, int], {Colour.RED: 1}),
    (dict[Colour, int], {Colour.ONE: 1}),
    (dict[Literal[1, 2], int], {1: 1}),
]

ONLY_JSON: list[tuple[Any, Any]] = [(int, 2**64), (int, -(10**30)), (list[int], [2**80])]

BYTES: list[tuple[Any, Any]] = [
    (bytes, ANY_BYTES),
    (list[bytes], [ANY_BYTES]),
    (Box[bytes], Box[bytes](item=ANY_BYTES)),
]

REFUSED: list[Any] = [
    Decimal("NaN"),
    Decimal("Infinity"),
    datetime(1880, 1, 1, tzinfo=timezone(timedelta(minutes=19, seconds=32))),
    time(1, tzinfo=timezone(timedelta(seconds=1))),
    Odd.PAIR,
    1 + 2j,
    object(),
    object,
    SecretStr("secret"),
    "\ud800",
    Path("\udcff"),
    {(1, 2): 3},
    {frozenset({1}): 3},
    {Key(x=1): 2},
    {Point(1, NOON): 2},
    iter([1]),
    range(3),
    Box[SecretStr](item=SecretStr("secret")),
    Inner.model_construct(at="no datetime"),
    (lambda: None),
]


@pytest.fixture(params=[MSGPACK, JSON], ids=["msgpack", "json"])
def codec(request: pytest.FixtureRequest) -> Codec:
    chosen: Codec = request.param
    return chosen


def same(left: Any, right: Any) -> bool:
    """Equal, and of equal types all the way down, which `==` alone does not ask for: `1 == 1.0 == True`."""
    if isinstance(left, datetime):
        return isinstance(right, datetime) and left == right and left.utcoffset() == right.utcoffset()
    if type(left) is not type(right) or left != right:
        return False
    if isinstance(left, dict):
        return all(same(a, b) for a, b in zip(left.items(), right.items(), strict=True))
    if isinstance(left, (list, tuple, deque)):
        return all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, (set, frozenset)):
        return all(same(a, b) for a, b in zip(sorted(left, key=repr), sorted(right, key=repr), strict=True))
    if isinstance(left, (BaseModel, Plain, Checked)):
        return all(same(vars(left)[name], vars(right)[name]) for name in vars(left) if not name.startswith("__"))
    return True


def identify(value: Any) -> str | None:
    """Name a case by its value, where every process writes that alike."""
    if " at 0x" in repr(value) or isinstance(value, set | frozenset):
        return None
    return repr(value)[:40].encode("ascii", "backslashreplace").decode()


@pytest.mark.parametrize(("declared", "value"), ROUND_TRIPS, ids=identify)
def test_comes_back_exactly(codec: Codec, declared: Any, value: Any) -> None:
    received = message_type(declared)
    result = codec.decode(codec.encode(value), received)
    assert same(result, value), (result, value)


@pytest.mark.parametrize(
    ("declared", "value"),
    # A plain model has bytes in JSON only when it is configured so.
    [row for row in ROUND_TRIPS + ONLY_JSON if "bytes" not in repr(row[0])],
    ids=identify,
)
def test_comes_back_exactly_inside_a_model_in_json(declared: Any, value: Any) -> None:
    boxed = Box[declared]
    assert same(JSON.decode(JSON.encode(boxed(item=value)), message_type(boxed)), boxed(item=value))


@pytest.mark.parametrize(("declared", "value"), ROUND_TRIPS + ONLY_MSGPACK + BYTES, ids=identify)
def test_comes_back_exactly_inside_a_model_in_msgpack(declared: Any, value: Any) -> None:
    boxed = Box[declared]
    assert same(MSGPACK.decode(MSGPACK.encode(boxed(item=value)), message_type(boxed)), boxed(item=value))


@pytest.mark.parametrize(("declared", "value"), ONLY_MSGPACK + BYTES, ids=identify)
def test_comes_back_exactly_in_msgpack(declared: Any, value: Any) -> None:
    assert same(MSGPACK.decode(MSGPACK.encode(value), message_type(declared)), value)


@pytest.mark.parametrize(("declared", "value"), ONLY_MSGPACK, ids=identify)
def test_refused_in_json(declared: Any, value: Any) -> None:
    boxed = Box[declared](item=value)
    with pytest.raises(InvalidMessageError, match=r"JSON"):
        JSON.encode(boxed)


@pytest.mark.parametrize(("declared", "value"), ONLY_JSON, ids=identify)
def test_refused_in_msgpack(declared: Any, value: Any) -> None:
    assert same(JSON.decode(JSON.encode(value), message_type(declared)), value)
    with pytest.raises(InvalidMessageError, match="64 bits"):
        MSGPACK.encode(value)


def test_not_a_number_is_kept_by_msgpack_and_refused_by_json() -> None:
    assert math.isnan(MSGPACK.decode(MSGPACK.encode(math.nan), message_type(float)))
    for value in (math.nan, Box[float](item=math.nan), {"a": [math.nan]}):
        with pytest.raises(InvalidMessageError, match="JSON"):
            JSON.encode(value)


@pytest.mark.parametrize("value", REFUSED, ids=identify)
@pytest.mark.parametrize("wrap", [lambda it: it, lambda it: [it], lambda it: {"a": it}], ids=["bare", "list", "dict"])
def test_refused_when_written(codec: Codec, value: Any, wrap: Any) -> None:
    with pytest.raises(InvalidMessageError) as caught:
        codec.encode(wrap(value))
    assert caught.value.reason
    assert "secret" not in str(caught.value)
    assert "no datetime" not in str(caught.value)


@pytest.mark.parametrize("value", REFUSED[:10], ids=identify)
def test_refused_when_written_in_a_field_of_any_type(codec: Codec, value: Any) -> None:
    with pytest.raises(InvalidMessageError):
        codec.encode(Box[Any](item=value))


def test_bytes_in_a_plain_model_are_refused_in_json_with_the_way_out() -> None:
    with pytest.raises(InvalidMessageError, match=r"item is bytes.*val_json_bytes='base64'"):
        JSON.encode(Box[bytes](item=b"text"))
