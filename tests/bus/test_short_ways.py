"""The short ways of writing: what they write is, byte for byte, what the long ones would."""

import gc
import json
import weakref
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal
from uuid import UUID

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    RootModel,
    TypeAdapter,
    computed_field,
    create_model,
    field_serializer,
    model_serializer,
    model_validator,
)
from pydantic_core import TzInfo

from cqrsbus.bus.codec import JSON, MSGPACK, Codec
from cqrsbus.bus.plain import in_json, in_msgpack
from cqrsbus.errors import InvalidMessageError
from cqrsbus.messages import Event

CODECS = pytest.mark.parametrize("codec", [MSGPACK, JSON], ids=["msgpack", "json"])
NOON = datetime(2026, 1, 2, 12, 30, tzinfo=UTC)
NAIVE = NOON.replace(tzinfo=None)
ID = UUID(int=7)

texts = st.text(st.characters(codec="utf-8"))
zones = st.sampled_from([None, UTC, TzInfo(0), TzInfo(-3_600), timezone(timedelta(hours=5, minutes=45))])
datetimes = st.datetimes(timezones=zones)
integers = st.integers(-(2**63), 2**64 - 1)
decimals = st.decimals(allow_nan=False, allow_infinity=False)
#: Types of fields, and what they may hold.
DECLARED: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: integers,
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bytes: st.binary(),
    datetime: datetimes,
    date: st.dates(),
    UUID: st.uuids(),
    Decimal: decimals,
    timedelta: st.timedeltas(),
    datetime | None: st.none() | datetimes,
    int | str | None: st.none() | integers | texts,
    list[datetime]: st.lists(datetimes, max_size=3),
    dict[str, UUID]: st.dictionaries(texts, st.uuids(), max_size=3),
    Literal["a", 1]: st.sampled_from(["a", 1]),
    Annotated[datetime, AfterValidator(lambda at: at)]: datetimes,
    Annotated[datetime, Field(alias="dated")]: datetimes,
}


@st.composite
def models(draw: st.DrawFn) -> BaseModel:
    """Draw a model of any fields, with any values."""
    kinds = draw(st.lists(st.sampled_from(list(DECLARED)), min_size=1, max_size=6, unique=True))
    fields: dict[str, Any] = {f"field_{number}": (kind, ...) for number, kind in enumerate(kinds)}
    model = create_model("Drawn", __base__=Event, __config__=None, **fields)
    values = {name: draw(DECLARED[kind]) for name, (kind, _) in fields.items()}
    return model.model_validate(values, by_name=True)


def long_way(codec: Codec, value: BaseModel) -> bytes:
    tree = TypeAdapter(type(value)).dump_python(
        value, by_alias=True, round_trip=True, polymorphic_serialization=True, warnings=False
    )
    if codec is MSGPACK:
        packed: bytes = msgpack.packb(tree, default=in_msgpack)
        return packed
    return json.dumps(tree, default=in_json, ensure_ascii=False, separators=(",", ":")).encode()


@CODECS
@settings(max_examples=150)
@given(value=models())
def test_any_model_is_written_as_the_long_way_would(codec: Codec, value: BaseModel) -> None:
    assert codec.encode(value) == long_way(codec, value)


class Meeting(BaseModel):
    title: Any = ""
    at: datetime = NOON
    until: datetime | None = None


class Entry(BaseModel):
    title: str = ""
    at: datetime = NOON
    until: datetime | None = None
    number: int = 1


class Aliased(BaseModel):
    at: datetime = Field(default=NOON, alias="from")
    to: datetime = Field(default=NOON, alias="at")


class Excluding(BaseModel):
    at: datetime = Field(default=NOON, exclude=True)
    until: datetime = NOON


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    at: datetime = NOON


class Serialized(BaseModel):
    at: datetime = NOON

    @field_serializer("at")
    def _year(self, at: datetime) -> int:
        return at.year


class Annotation(BaseModel):
    at: Annotated[datetime, PlainSerializer(lambda at: at.replace(year=2000))] = NOON


class AsText(BaseModel):
    at: datetime = NOON

    @model_serializer
    def _text(self) -> str:
        return f"at {self.at.year}"


class OddKeys(BaseModel):
    at: datetime = NOON

    @model_serializer
    def _by_key(self) -> dict[Any, Any]:
        return {True: "a", None: self.at}


class Checked(BaseModel):
    at: datetime = NOON

    @model_validator(mode="after")
    def _check(self) -> "Checked":
        return self

    @model_serializer(mode="wrap")
    def _text(self, write: Callable[["Checked"], dict[str, Any]]) -> list[Any]:
        return list(write(self).values())


class Moments(RootModel[dict[datetime, datetime]]):
    pass


class Moment(RootModel[datetime]):
    pass


class Computing(BaseModel):
    at: datetime = NOON

    @computed_field
    def year(self) -> int:
        return self.at.year

    @cached_property
    def later(self) -> datetime:
        return self.at + timedelta(1)


class Late(datetime):
    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        return f"late {super().isoformat(sep, timespec)}"


class Word(StrEnum):
    HELLO = "hello"


class Level(IntEnum):
    LOW = 1


def remembering() -> BaseModel:
    computing = Computing()
    assert computing.later > computing.at
    return computing


def without_a_field() -> BaseModel:
    entry = Entry()
    del entry.at
    return entry


def unlike_its_class() -> BaseModel:
    entry = Entry.__new__(Entry)
    held = {"until": NOON, "at": NAIVE, "title": "out of order", "number": 2, "room": NOON}
    object.__setattr__(entry, "__dict__", held)
    return entry


@CODECS
@pytest.mark.parametrize(
    "value",
    [
        Meeting(),
        Meeting(title=NOON, at=Late(2026, 1, 2, tzinfo=UTC), until=NAIVE),
        Meeting(title=Meeting(title=[NOON, {"a": ID}])),
        Meeting(title=Word.HELLO),
        Meeting(title=Level.LOW),
        Entry(number=True),
        Entry.model_construct(at=None),
        Entry.model_construct(title=Word.HELLO, number=Level.LOW),
        Entry.model_construct(at=Late(2026, 1, 2, tzinfo=UTC), until=None),
        Aliased.model_validate({"at": NAIVE}),
        Excluding(),
        Open.model_validate({"more": {"at": [NOON]}, "text": "a"}),
        Serialized(),
        Annotation(),
        AsText(),
        OddKeys(),
        Checked(),
        Moment(NOON),
        remembering(),
        without_a_field(),
        unlike_its_class(),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_an_odd_instance_is_written_as_the_long_way_would(codec: Codec, value: BaseModel) -> None:
    assert codec.encode(value) == long_way(codec, value)


def test_keys_that_are_datetimes_are_written_as_text() -> None:
    assert msgpack.unpackb(MSGPACK.encode(Moments({NOON: NAIVE}))) == {NOON.isoformat(): NAIVE.isoformat()}
    assert json.loads(JSON.encode(Moments({NOON: NAIVE}))) == {NOON.isoformat(): NAIVE.isoformat()}


@CODECS
@pytest.mark.parametrize(
    ("field", "held"),
    [
        ("title", NOON),
        ("title", b"\xff"),
        ("title", 1e-7),
        ("at", "no datetime"),
        ("at", NOON.date()),
        ("until", Meeting()),
        ("until", [NOON, {"a": ID}]),
        ("number", "one"),
    ],
)
def test_a_field_that_holds_something_else_is_warned_of_and_written(codec: Codec, field: str, held: object) -> None:
    value = Entry()
    setattr(value, field, held)
    with pytest.warns(UserWarning, match=field):
        body = codec.encode(value)
    assert body == long_way(codec, value)


@CODECS
@pytest.mark.parametrize("held", [timezone(timedelta(seconds=1)), timezone(timedelta(microseconds=1)), TzInfo(59)])
def test_an_odd_offset_in_a_field_is_refused(codec: Codec, held: timezone) -> None:
    with pytest.raises(InvalidMessageError, match="not a whole number of minutes"):
        codec.encode(Entry(at=datetime(2026, 1, 2, tzinfo=held)))


class Counted(BaseModel):
    at: datetime = NOON
    count: int = 0


@pytest.mark.parametrize("digits", [500, 640, 4_300])
def test_json_carries_an_integer_of_as_many_digits_as_python_reads(digits: int) -> None:
    value = Counted(count=10 ** (digits - 1))
    assert JSON.encode(value) == long_way(JSON, value)


def test_json_refuses_an_integer_of_more_digits_than_python_reads() -> None:
    with pytest.raises(InvalidMessageError, match="digits"):
        JSON.encode(Counted(count=10**4_300))


@CODECS
def test_half_a_surrogate_pair_beside_a_datetime_is_refused(codec: Codec) -> None:
    with pytest.raises(InvalidMessageError, match=r"surrogates|utf-8"):
        codec.encode(Entry.model_construct(title="\ud800"))


@CODECS
def test_what_was_sent_does_not_keep_its_class(codec: Codec) -> None:
    def send_one(name: str) -> weakref.ref[type]:
        cls: type = type(name, (), {})
        with pytest.raises(InvalidMessageError, match=name):
            codec.encode(cls())
        return weakref.ref(cls)

    first = send_one("First")
    for number in range(1_100):
        send_one(f"Class{number}")
    gc.collect()
    assert first() is None
