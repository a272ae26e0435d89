"""The codecs: subclasses, hostile bodies, and properties over values that nobody thought of."""

import json
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, computed_field
from pydantic.dataclasses import dataclass as pydantic_dataclass

from cqrsbus.bus.codec import JSON, MSGPACK, NOT_READ, Codec, codec_for, codec_named
from cqrsbus.bus.types import message_type
from cqrsbus.errors import InvalidMessageError
from cqrsbus.messages import Event

CODECS = pytest.mark.parametrize("codec", [MSGPACK, JSON], ids=["msgpack", "json"])


class Animal(BaseModel):
    name: str


class Dog(Animal):
    tricks: list[str] = []


@dataclass
class Shape:
    x: int


@dataclass
class Circle(Shape):
    radius: int = 0


@pydantic_dataclass
class Seed:
    name: str


@pydantic_dataclass
class Nut(Seed):
    hard: bool = True


class Zoo(BaseModel):
    star: Animal
    animals: list[Animal]
    by_name: dict[str, Animal]
    either: Animal | None
    pair: tuple[Animal, Animal | int]


class Garden(BaseModel):
    seed: Seed
    seeds: list[Seed]


class Sheet(BaseModel):
    shape: Shape
    shapes: list[Shape]
    animal: Animal


class Everything(Event, topic="every.thing"):
    text: str
    at: datetime
    day: date
    lasts: timedelta
    ident: UUID
    price: Decimal
    blob: bytes
    number: int
    fraction: float
    flags: set[bool]
    mixed: list[int | str | None]
    table: dict[int, tuple[str, float]]


offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
finite = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec="utf-8"))
messages = st.builds(
    Everything,
    text=texts,
    at=st.datetimes(timezones=st.none() | offsets),
    day=st.dates(),
    lasts=st.timedeltas(),
    ident=st.uuids(),
    price=st.decimals(allow_nan=False, allow_infinity=False),
    blob=st.binary(),
    number=st.integers(-(2**63), 2**64 - 1),
    fraction=finite,
    flags=st.sets(st.booleans()),
    mixed=st.lists(st.integers(-(2**63), 2**64 - 1) | texts | st.none()),
    table=st.dictionaries(st.integers(-(2**63), 2**63), st.tuples(texts, finite)),
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | finite | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def plain_reading(codec: Codec, body: bytes) -> Any:
    return msgpack.unpackb(body, strict_map_key=False) if codec is MSGPACK else json.loads(body)


class Note(BaseModel):
    """Flat, so that it takes the shorter way."""

    text: str
    number: int | None = None


@CODECS
@pytest.mark.parametrize("declared", [Note, Animal, Everything, int, Any])
@given(data=st.data())
def test_several_bodies_are_read_as_each_alone_is(codec: Codec, declared: Any, data: st.DataObject) -> None:
    bodies = data.draw(st.lists(bodies_of(codec), max_size=5))
    into = message_type(declared)
    read = codec.decode_each(bodies, into)
    assert len(read) == len(bodies)
    for body, value in zip(bodies, read, strict=True):
        try:
            alone = codec.decode(body, into)
        except InvalidMessageError:
            assert value is NOT_READ
        else:
            assert (value, type(value)) == (alone, type(alone))


def bodies_of(codec: Codec) -> st.SearchStrategy[bytes]:
    """Of messages, of other values, and of none."""
    notes = st.builds(Note, text=texts, number=st.none() | st.integers(-(2**63), 2**64 - 1))
    return st.binary(max_size=20) | (notes | messages | json_values).map(codec.encode)


@CODECS
@settings(max_examples=150)
@given(value=messages)
def test_any_message_comes_back(codec: Codec, value: Everything) -> None:
    result = codec.decode(codec.encode(value), message_type(Everything))
    assert result == value
    assert str(result.price) == str(value.price)
    assert result.at.utcoffset() == value.at.utcoffset()
    assert list(map(type, result.mixed)) == list(map(type, value.mixed))


@CODECS
@given(value=json_values)
def test_undeclared_plain_values_come_back_as_they_are(codec: Codec, value: Any) -> None:
    result = codec.decode(codec.encode(value), message_type(Any))
    assert result == value
    assert repr(result) == repr(value)


@CODECS
@settings(max_examples=300)
@given(body=st.binary(max_size=200), declared=st.sampled_from([Any, Everything, Zoo, int | str, list[int], bytes]))
def test_any_bytes_fit_or_are_refused(codec: Codec, body: bytes, declared: Any) -> None:
    try:
        codec.decode(body, message_type(declared))
    except InvalidMessageError as error:
        misfit = error
    else:
        return
    assert len(misfit.entries) <= 20


@CODECS
@settings(max_examples=200)
@given(value=messages, data=st.data())
def test_a_damaged_body_fits_or_is_refused(codec: Codec, value: Everything, data: st.DataObject) -> None:
    body = bytearray(codec.encode(value))
    position = data.draw(st.integers(0, len(body) - 1))
    cut = data.draw(st.booleans())
    if cut:
        del body[position:]
    else:
        body[position] = data.draw(st.integers(0, 255))
    try:
        codec.decode(bytes(body), message_type(Everything))
    except InvalidMessageError:
        return
    assert not cut


@CODECS
def test_values_of_subclasses_keep_their_fields(codec: Codec) -> None:
    rex = Dog(name="Rex", tricks=["sit"])
    zoo = Zoo(star=rex, animals=[rex, Animal(name="Tom")], by_name={"rex": rex}, either=rex, pair=(rex, rex))
    whole = {"name": "Rex", "tricks": ["sit"]}
    assert plain_reading(codec, codec.encode(zoo)) == {
        "star": whole,
        "animals": [whole, {"name": "Tom"}],
        "by_name": {"rex": whole},
        "either": whole,
        "pair": [whole, whole],
    }
    assert plain_reading(codec, codec.encode([rex])) == [whole]
    assert codec.decode(codec.encode(rex), message_type(Animal)) == Animal(name="Rex")


@CODECS
def test_values_of_dataclass_subclasses_keep_their_fields(codec: Codec) -> None:
    nut, circle, rex = Nut("hazel"), Circle(1, radius=2), Dog(name="Rex", tricks=["sit"])
    assert plain_reading(codec, codec.encode(Garden(seed=nut, seeds=[nut]))) == {
        "seed": {"name": "hazel", "hard": True},
        "seeds": [{"name": "hazel", "hard": True}],
    }
    assert plain_reading(codec, codec.encode(Sheet(shape=circle, shapes=[circle], animal=rex))) == {
        "shape": {"x": 1, "radius": 2},
        "shapes": [{"x": 1, "radius": 2}],
        "animal": {"name": "Rex", "tricks": ["sit"]},
    }
    assert plain_reading(codec, codec.encode({"a": circle, "b": [nut]})) == {
        "a": {"x": 1, "radius": 2},
        "b": [{"name": "hazel", "hard": True}],
    }


class Kennel(BaseModel):
    name: str
    guard: Animal | None = None
    pups: "list[Kennel]" = []


class Open(BaseModel, extra="allow"):
    name: str


class Weighed(Animal):
    weight: float
    at: datetime = datetime(2026, 1, 2, tzinfo=UTC)


class Measured(Kennel):
    size: float


@pytest.mark.parametrize(
    "value",
    [
        Kennel(name="k", guard=Weighed(name="w", weight=math.nan)),
        Kennel(name="k", pups=[Measured(name="m", size=math.inf)]),
        Open.model_validate({"name": "o", "size": math.nan}),
    ],
)
def test_json_refuses_a_number_it_has_not_wherever_it_is(value: BaseModel) -> None:
    with pytest.raises(InvalidMessageError, match="not JSON compliant"):
        JSON.encode(value)


def test_dates_of_subclasses_are_written_as_all_others() -> None:
    assert b'"at":"2026-01-02T00:00:00+00:00"' in JSON.encode(Kennel(name="k", guard=Weighed(name="w", weight=1)))


@CODECS
def test_what_is_computed_is_not_sent(codec: Codec) -> None:
    class Area(BaseModel):
        model_config = ConfigDict(extra="forbid")
        side: int

        @computed_field
        def area(self) -> int:
            return self.side**2

    assert codec.decode(codec.encode(Area(side=3)), message_type(Area)) == Area(side=3)


@CODECS
def test_a_dict_may_be_sent_where_a_model_is_declared(codec: Codec) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    sent = {"text": "", "at": at, "day": at.date(), "lasts": timedelta(1), "ident": UUID(int=1), "price": Decimal(1)}
    rest = {"blob": b"\xff", "number": 1, "fraction": 0.5, "flags": {True}, "mixed": [], "table": {1: ("a", 1.0)}}
    result = codec.decode(codec.encode(sent | rest), message_type(Everything))
    assert result == Everything.model_validate(sent | rest)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not msgpack"),
        (b"\xc1", "not msgpack"),
        (b"\x01\x02", "goes on after its end"),
        (b"\xa1\xff", "not UTF-8"),
        (b"\xd4\x05\x00", "not msgpack"),
        (b"\xd6\xff\x00\x00\x00\x00", "not msgpack"),
        (b"\xc7\x00\x05", "extension type 5"),
        (b"\xc7\x00\xff", "not msgpack"),
        (b"\xdf\xff\xff\xff\xff", "not msgpack"),
        (b"\xdd\xff\xff\xff\xff", "not msgpack"),
        (b"\xdb\xff\xff\xff\xff", "not msgpack"),
        (b"\x81\x90\x01", "not msgpack"),
        (b"\x91" * 100_000 + b"\x01", "not msgpack"),
        (b"\x81\x01" * 100_000 + b"\x01", "not msgpack"),
    ],
)
def test_malformed_msgpack_is_refused(body: bytes, says: str) -> None:
    with pytest.raises(InvalidMessageError, match=says):
        MSGPACK.decode(body, message_type(Any))


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":}', b"\xff", b'"\xff"', b"1 2", b"[" * 100_000, b'{"a":' * 50_000])
def test_malformed_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidMessageError, match=r"json|JSON|finding"):
        JSON.decode(body, message_type(Any))


@CODECS
def test_a_value_that_contains_itself_is_refused(codec: Codec) -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidMessageError):
        codec.encode(endless)
    assert codec.decode(codec.encode([1]), message_type(list[int])) == [1]


def test_a_refused_value_leaves_nothing_behind_in_the_next_body() -> None:
    clean = MSGPACK.encode(["a"])
    with pytest.raises(InvalidMessageError):
        MSGPACK.encode(["left over", object()])
    assert MSGPACK.encode(["a"]) == clean


def test_large_bodies_come_back() -> None:
    value = {"numbers": list(range(70_000)), "text": "x" * 2_000_000}
    for codec in (MSGPACK, JSON):
        assert codec.decode(codec.encode(value), message_type(dict[str, Any])) == value


def test_threads_do_not_share_a_packer() -> None:
    def encode_many(mark: str, bad: list[str]) -> None:
        expected = msgpack.packb([mark] * 50)
        bad.extend(mark for _ in range(500) if MSGPACK.encode([mark] * 50) != expected)

    bad: list[str] = []
    threads = [threading.Thread(target=encode_many, args=(mark, bad)) for mark in ("a", "bb", "ccc")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
        assert not thread.is_alive()
    assert not bad


def test_a_body_may_be_written_while_another_is() -> None:
    inner: list[bytes] = []

    class Zone(tzinfo):
        def utcoffset(self, moment: datetime | None, /) -> timedelta:
            inner.append(MSGPACK.encode(["inner", 1]))
            return timedelta(0)

        dst = tzname = lambda *_: None

    outer = MSGPACK.encode({"before": 1, "at": datetime(2026, 1, 1, tzinfo=Zone()), "after": [2]})
    assert msgpack.unpackb(outer) == {"before": 1, "at": "2026-01-01T00:00:00+00:00", "after": [2]}
    assert set(inner) == {msgpack.packb(["inner", 1])}


@pytest.mark.parametrize(("find", "known"), [(codec_named, "msgpack, json"), (codec_for, "application/msgpack, app")])
def test_an_unknown_codec_is_refused_by_name(find: Callable[[str], Codec], known: str) -> None:
    with pytest.raises(InvalidMessageError, match=rf"'pi\\nckle'; known are {known}"):
        find("pi\nckle")


@CODECS
def test_codecs_are_found_by_name_and_content_type(codec: Codec) -> None:
    assert codec_named(codec.name) is codec
    assert codec_for(codec.content_type) is codec
    assert codec.content_type == f"application/{codec.name}"
