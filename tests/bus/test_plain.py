"""The plain forms of values, as another language will read them."""

import json
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, SecretStr, field_serializer
from pydantic_core import TzInfo

from cqrsbus.bus.codec import JSON, MSGPACK, Codec
from cqrsbus.bus.plain import in_json, in_msgpack, plain, text_keys
from cqrsbus.errors import InvalidMessageError

EAST = timezone(timedelta(hours=5, minutes=45))


minutes = st.integers(-23 * 60, 23 * 60)
zones = (
    st.sampled_from([None, UTC, EAST, TzInfo(0)])
    | minutes.map(lambda offset: timezone(timedelta(minutes=offset)))
    | minutes.map(lambda offset: TzInfo(offset * 60))
    | st.timezones()
)


class Day(date, Enum):
    FIRST = 2026, 1, 1


class Held(BaseModel):
    number: int


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "2026-01-02T03:04:05.000006+00:00"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=EAST), "2026-01-02T03:04:05+05:45"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(3, 4), "03:04:00"),
        (timedelta(days=1, seconds=2), "P1DT2S"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Decimal("1.50"), "1.50"),
        ({1}, [1]),
    ],
)
def test_the_plain_form(value: object, form: object) -> None:
    assert in_msgpack(value) == in_json(value) == form


@settings(max_examples=500)
@given(value=st.datetimes(timezones=zones), fold=st.integers(0, 1))
def test_a_datetime_is_written_as_its_isoformat(value: datetime, fold: int) -> None:
    value = value.replace(fold=fold)
    offset = value.utcoffset()
    if offset and offset % timedelta(minutes=1):
        with pytest.raises(InvalidMessageError, match="not a whole number of minutes"):
            in_msgpack(value)
    else:
        assert in_msgpack(value) == in_json(value) == value.isoformat()


@pytest.mark.parametrize("zone", [timezone(timedelta(seconds=30)), timezone(timedelta(microseconds=1)), TzInfo(59)])
@pytest.mark.parametrize("kind", [datetime, type("Moment", (datetime,), {})])
def test_an_offset_that_is_no_whole_number_of_minutes_is_refused(zone: tzinfo, kind: type[datetime]) -> None:
    with pytest.raises(InvalidMessageError, match="not a whole number of minutes"):
        in_msgpack(kind(2026, 1, 2, tzinfo=zone))


def test_a_subclass_of_datetime_is_written_by_itself() -> None:
    class Moment(datetime):
        def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
            return super().isoformat(sep, "milliseconds")

    assert in_msgpack(Moment(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00.000+00:00"


@given(value=st.uuids())
def test_a_uuid_is_written_as_its_text(value: UUID) -> None:
    assert in_msgpack(value) == str(value)


def test_bytes_are_base64_in_json_and_bin_in_msgpack() -> None:
    assert JSON.encode([b"\xfb\xff"]) == b'["+/8="]'
    assert MSGPACK.encode([b"\xfb\xff"]) == b"\x91\xc4\x02\xfb\xff"


def test_no_extension_type_is_ever_written() -> None:
    def refuse(code: int, data: bytes) -> object:
        raise AssertionError(code, data)

    body = MSGPACK.encode({"at": datetime(2026, 1, 1, tzinfo=UTC), "id": UUID(int=1), "price": Decimal("1.5")})
    assert set(map(type, msgpack.unpackb(body, ext_hook=refuse, timestamp=0).values())) == {str}


def test_json_is_valid_for_strict_readers() -> None:
    def refuse(token: str) -> Any:
        raise AssertionError(token)

    value = {"a": 1.5, "b": "é\0", "c": [None, True], "d": {UUID(int=1): 1}}
    assert json.loads(JSON.encode(value), parse_constant=refuse) == {**value, "d": {str(UUID(int=1)): 1}}


@pytest.mark.parametrize("write", [in_msgpack, in_json])
@pytest.mark.parametrize("value", [Day.FIRST, SecretStr("x"), 1j, len, Decimal("sNaN"), object])
def test_what_has_no_plain_form_is_refused_by_type(write: Any, value: object) -> None:
    with pytest.raises(InvalidMessageError, match=f"a value of type {type(value).__name__} cannot be carried"):
        write(value)


@pytest.mark.parametrize("mapping", [{1: 1, "1": 2}, {None: 1}, {1.5: 1}, {b"a": 1}])
def test_keys_that_json_would_change_are_refused(mapping: dict[Any, int]) -> None:
    assert plain(mapping, json=False) == mapping
    with pytest.raises(InvalidMessageError, match="JSON's keys"):
        plain(mapping, json=True)


def test_keys_become_text_at_every_depth() -> None:
    first = date(2026, 1, 1)
    assert text_keys({first: [{UUID(int=0): {first}}]}) == {"2026-01-01": [{str(UUID(int=0)): [first]}]}
    with pytest.raises(InvalidMessageError, match="tuple"):
        text_keys({(1, 2): 3})


@pytest.mark.parametrize("codec", [MSGPACK, JSON], ids=["msgpack", "json"])
def test_a_field_that_holds_something_else_is_warned_of(codec: Codec) -> None:
    with pytest.raises(InvalidMessageError, match="does not hold what it declares: Expected `int` field_name='number'"):
        codec.encode(Held.model_construct(number="hunter2"))  # warnings are errors here
    with pytest.warns(UserWarning, match="number"):
        codec.encode(Held.model_construct(number="hunter2"))


@pytest.mark.parametrize("codec", [MSGPACK, JSON], ids=["msgpack", "json"])
def test_the_serializers_of_a_model_are_used(codec: Codec) -> None:
    class Temperature(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        degrees: complex

        @field_serializer("degrees")
        def _as_text(self, degrees: complex) -> str:
            return str(degrees.real)

    body = codec.encode(Temperature(degrees=21j + 3))
    assert (msgpack.unpackb(body) if codec is MSGPACK else json.loads(body)) == {"degrees": "3.0"}
