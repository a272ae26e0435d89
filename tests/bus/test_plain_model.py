"""Models that are written as they are: the same bytes, or the same refusal, as by way of pydantic."""

import enum
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import cached_property
from typing import Annotated, Any, Literal
from uuid import UUID

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
    computed_field,
    create_model,
    field_serializer,
    model_serializer,
    model_validator,
)
from pydantic_core import TzInfo

from cqrsbus.bus import fast_msgpack
from cqrsbus.bus.codec import MSGPACK
from cqrsbus.bus.types import message_type
from cqrsbus.errors import InvalidMessageError
from cqrsbus.messages import Event

NOON = datetime(2026, 1, 2, 12, 30, tzinfo=UTC)


class Text(str):
    """A text by another name."""


class Number(enum.IntEnum):
    ONE = 1


class Moment(datetime):
    """A datetime by another name."""


zones = st.sampled_from([None, UTC, TzInfo(0), TzInfo(3_600), timezone(timedelta(seconds=1)), timezone.min])
#: What a field may be declared as, and what it may hold all the same.
DECLARED = [str, int, bool, float, bytes, datetime, None, str | None, int | None, datetime | None]
HELD = (
    st.none()
    | st.booleans()
    | st.text()
    | st.just("\ud800")
    | st.integers(-(2**63) - 1, 2**64)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.binary(max_size=300)
    | st.datetimes(timezones=zones)
    | st.sampled_from([Text("a"), Number.ONE, Moment(2026, 1, 2), UUID(int=1), {}, [NOON], timedelta(1), NOON.date()])
)


@st.composite
def instances(draw: st.DrawFn) -> BaseModel:
    """Draw an instance whose fields hold anything, most often what is declared."""
    kinds = draw(st.lists(st.sampled_from(DECLARED), min_size=1, max_size=5))
    fields: dict[str, Any] = {f"field_{number}": (kind, ...) for number, kind in enumerate(kinds)}
    made = create_model("Drawn", __base__=Event, __config__=None, **fields)
    values: dict[str, Any] = {name: draw(HELD) for name in fields if draw(st.integers(0, 20))}
    try:
        return made.model_validate(values)
    except ValueError:
        return made.model_construct(**values)


def written(value: BaseModel) -> bytes | str:
    """The bytes of a model, or why there are none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return MSGPACK.encode(value)
        except InvalidMessageError as error:
            return error.reason


def written_the_long_way(value: BaseModel) -> bytes | str:
    declared = message_type(type(value))
    known, declared.plain_model = declared.plain_model, None
    try:
        return written(value)
    finally:
        declared.plain_model = known


PACKERS = pytest.mark.parametrize("packer", [fast_msgpack._pack, None], ids=["fast", "usual"])


@PACKERS
@settings(max_examples=400)
@given(value=instances())
def test_any_instance_is_written_or_refused_as_the_long_way_does(
    packer: Callable[[object], bytes] | None, value: BaseModel
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_msgpack, "_pack", packer)
        assert written(value) == written_the_long_way(value)


class Plain(BaseModel):
    title: str
    at: datetime = NOON
    until: datetime | None = None


class Validated(BaseModel):
    title: Annotated[str, AfterValidator(str.strip), Field(min_length=1)]

    @model_validator(mode="after")
    def check(self) -> "Validated":
        return self


@pytest.mark.parametrize("value", [Plain(title="a"), Plain(title="a", until=NOON), Validated(title="b")])
def test_it_is_found_and_fits(value: BaseModel) -> None:
    plain_model = message_type(type(value)).facts.plain_model
    assert plain_model is not None
    assert plain_model.fits(dict(value.__dict__))


def test_of_an_instance_that_holds_more_pydantic_is_asked() -> None:
    class Remembering(BaseModel):
        title: str

        @cached_property
        def shouted(self) -> str:
            return self.title.upper()

    value = Remembering(title="a")
    plain_model = message_type(Remembering).facts.plain_model
    assert plain_model is not None
    assert plain_model.fits(dict(value.__dict__))
    assert value.shouted == "A"
    assert not plain_model.fits(dict(value.__dict__))
    assert written(value) == MSGPACK.encode({"title": "a"})


class Root(RootModel[str]): ...


class Aliased(BaseModel):
    title: str = Field(alias="name")


class Excluding(BaseModel):
    title: str = Field(default="", exclude=True)


class Computing(BaseModel):
    title: str = ""

    @computed_field
    def shouted(self) -> str:
        return self.title.upper()


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    title: str = ""


class FieldSerialized(BaseModel):
    title: str = ""

    @field_serializer("title")
    def shout(self, title: str) -> str:
        return title.upper()


class Serialized(BaseModel):
    title: str = ""

    @model_serializer
    def shout(self) -> str:
        return self.title.upper()


class Annotating(BaseModel):
    title: Annotated[str, PlainSerializer(str.upper)] = ""


class Nested(BaseModel):
    inner: Plain


class Listing(BaseModel):
    titles: list[str] = []


class Choosing(BaseModel):
    kind: Literal["a"] = "a"
    either: int | str = 1
    anything: Any = None


@pytest.mark.parametrize(
    "cls",
    [Root, Aliased, Excluding, Computing, Open, FieldSerialized, Serialized, Annotating, Nested, Listing, Choosing],
)
def test_of_all_others_pydantic_is_asked(cls: type[BaseModel]) -> None:
    assert message_type(cls).facts.plain_model is None


def test_the_name_of_a_field_is_only_a_name() -> None:
    odd = create_model("Odd", **{"a'] or True or held['b": (str, "c"), "UTC": (int, 1)})  # type: ignore[call-overload]
    value = odd()
    plain_model = message_type(odd).facts.plain_model
    assert plain_model is not None
    assert plain_model.fits(dict(value.__dict__))
    assert not plain_model.fits({**value.__dict__, "UTC": "x"})
    assert written(value) == MSGPACK.encode(dict(value.__dict__))
