"""What a walk over a type finds out before its values travel."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    TypeAdapter,
    WrapValidator,
    create_model,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import core_schema

from cqrsbus.bus.type_facts import TypeFacts, examine


class Blob(BaseModel):
    data: bytes


class Safe(BaseModel):
    model_config = ConfigDict(val_json_bytes="base64")
    data: bytes
    blob: Blob | None = None


class Node(BaseModel):
    name: str
    nodes: list["Node"] = []


class Plain(BaseModel):
    number: int
    day: date


class Around(BaseModel):
    plain: Plain


class OpenToMore(Plain, extra="allow"):
    pass


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    x: int


class StrictField(BaseModel):
    x: int = Field(strict=True)


@dataclass
class Standard:
    x: int


@pydantic_dataclass
class Checked:
    x: int


class Dated(BaseModel):
    name: str
    at: datetime
    until: datetime | None = None
    noted: Annotated[datetime, BeforeValidator(lambda at: at), Field(alias="note")]
    all: list[datetime]
    either: datetime | int


class Written(BaseModel):
    at: datetime

    @model_serializer
    def _text(self) -> str:
        return ""


class Renamed(BaseModel):
    name: str = Field(alias="id")


class Pair(NamedTuple):
    first: Renamed


def found(declared: Any) -> TypeFacts:
    return examine(TypeAdapter(declared).core_schema, base64=False)


def test_bytes_need_base64_wherever_they_are() -> None:
    assert found(Blob).json_flaw.startswith("data is bytes")
    assert found(Safe).json_flaw.startswith("blob.data is bytes")
    assert found(list[dict[str, bytes]]).json_flaw.startswith("the type is bytes")
    assert found(Blob).flaw == found(Safe).flaw == ""


def test_bytes_in_a_recursive_type_are_found() -> None:
    class Chain(BaseModel):
        link: "Chain | None" = None
        data: bytes = b""

    assert "data is bytes" in found(Chain).json_flaw
    assert found(Node).json_flaw == ""


@pytest.mark.parametrize(
    ("declared", "strict"), [(Strict, True), (list[StrictField], True), (Node, False), (UUID, False)]
)
def test_strictness_is_found_at_any_depth(declared: Any, strict: bool) -> None:
    assert found(declared).strict is strict
    assert found(dict[str, list[declared]]).strict is strict


class Shade(Enum):
    DARK = "dark"


T = TypeVar("T")


class StrictBoth(BaseModel, Generic[T]):
    model_config = ConfigDict(strict=True)
    data: bytes
    at: T


class StrictInBase64(StrictBoth[T], Generic[T]):
    model_config = ConfigDict(val_json_bytes="base64", ser_json_bytes="base64")


class StrictBytes(BaseModel, Generic[T]):
    data: bytes = Field(strict=True)
    at: T


@pytest.mark.parametrize("simpler", [datetime, UUID, tuple[int, int], set[int], Shade])
def test_what_a_strict_type_reads_from_json_alone_cannot_stand_beside_what_json_lacks(simpler: Any) -> None:
    flaw = found(StrictBoth[simpler]).flaw
    assert flaw.startswith("at is a strict ")
    assert "data is bytes" in flaw
    assert found(list[StrictBoth[simpler | None]]).flaw
    assert found(create_model("StrictOther", data=bytes, at=(simpler, Field(strict=True)))).flaw
    assert not found(StrictInBase64[simpler]).flaw
    assert not found(StrictBytes[simpler]).flaw


def test_nor_can_a_dataclass_in_a_strict_type() -> None:
    assert found(StrictBoth[Standard]).flaw.startswith("at is a strict dataclass")


def test_what_msgpack_has_a_form_for_a_strict_type_reads_beside_bytes() -> None:
    assert not found(StrictBoth[dict[str, list[int | str | float | bool | None]]]).flaw


def test_dataclasses_of_the_standard_library_are_found() -> None:
    assert found(list[Standard]).has_stdlib_dataclass
    assert not found(list[Checked]).has_stdlib_dataclass


@pytest.mark.parametrize(
    ("declared", "kept"),
    [
        *((Plain, True), (dict[UUID, list[date]], True), (list[Plain], True)),
        *((float, False), (datetime, False), (Blob, False), (Any, False)),
        # One of a subclass, or a field of no declared type, may be in there.
        *((Node, False), (dict[str, Node], False), (Around, False), (OpenToMore, False)),
    ],
)
def test_only_what_pydantic_writes_exactly_is_left_to_it(declared: Any, kept: bool) -> None:
    assert found(declared).json_keeps_all is kept


@pytest.mark.parametrize(
    ("declared", "fields"), [(Dated, ("at", "until", "note")), (Written, ()), (Node, ()), (datetime, ()), (Any, ())]
)
def test_the_datetimes_of_a_model_are_found(declared: Any, fields: tuple[str, ...]) -> None:
    assert found(declared).datetime_fields == fields


@pytest.mark.parametrize(
    ("declared", "alike"), [(Blob, True), (Written, True), (Node, False), (float, False), (Dated, False), (Any, False)]
)
def test_types_that_either_json_writer_writes_alike_are_found(declared: Any, alike: bool) -> None:
    assert found(declared).json_as_python is alike


class Kind(Enum):
    A = "a"


class Lenient(Enum):
    A = "a"

    @classmethod
    def _missing_(cls, value: object) -> "Lenient":
        return cls.A


class Counted(BaseModel):
    number: int = Field(default_factory=int)


class Initialised(BaseModel):
    number: int

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)


class Made(BaseModel):
    number: int

    def __new__(cls, **fields: object) -> "Made":
        return super().__new__(cls)


@dataclass
class MadeData:
    x: int

    def __new__(cls, *fields: object) -> "MadeData":
        return super().__new__(cls)


class Copied:
    __hash__ = None  # type: ignore[assignment]  # as of what can be changed

    def __deepcopy__(self, memo: object) -> "Copied":
        return self


class CopiedWithin(BaseModel):
    numbers: list[Any] = [Copied()]


class CopiedItself(BaseModel):
    number: Any = Copied()


class Defaults(BaseModel):
    """Of these nobody is asked how they are copied."""

    text: str = "x"
    pair: tuple[int, int] = (1, 2)
    numbers: list[int] = []
    table: dict[str, int] = {}


class Finished(BaseModel):
    number: int

    def model_post_init(self, context: object) -> None:
        pass


class Doubled(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def _double(cls, number: int) -> int:
        return 2 * number


class Looked(BaseModel):
    number: int

    @model_validator(mode="after")
    def _look(self) -> "Looked":
        return self


class Mine:
    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        return core_schema.no_info_plain_validator_function(lambda value: value)


@dataclass
class PostInitialised:
    x: int

    def __post_init__(self) -> None:
        pass


def kind_of(value: Any) -> str:
    return "plain" if "day" in value else "node"


@pytest.mark.parametrize(
    "declared",
    [
        Plain,
        Node,
        Around,
        OpenToMore,
        Strict,
        Renamed,
        Blob,
        Standard,
        Checked,
        Kind,
        Defaults,
        Plain | None,
        Any,
        UUID,
    ],
)
def test_what_runs_nothing_of_the_applications_is_found(declared: Any) -> None:
    assert found(declared).runs_nothing
    assert found(dict[str, list[declared]]).runs_nothing


@pytest.mark.parametrize(
    "declared",
    [
        *(Dated, Counted, Initialised, Made, MadeData, Finished, Doubled, Looked, Lenient, Mine, PostInitialised, Pair),
        *(CopiedWithin, CopiedItself, Path),
        Annotated[int, AfterValidator(abs)],
        Annotated[int, WrapValidator(lambda value, handler: handler(value))],
        Annotated[int, PlainValidator(int)],
        Annotated[Annotated[Plain, Tag("plain")] | Annotated[Node, Tag("node")], Discriminator(kind_of)],
    ],
)
def test_what_may_run_something_of_the_applications_is_found(declared: Any) -> None:
    assert not found(declared).runs_nothing
    assert not found(dict[str, list[declared]]).runs_nothing


class Chosen(BaseModel):
    name: str = Field(validation_alias=AliasChoices("name", "id"))


class Configured(BaseModel):
    model_config = ConfigDict(validate_by_name=True)
    name: str


@pytest.mark.parametrize(
    ("declared", "aliased"),
    [(Renamed, True), (Chosen, True), (Configured, True), (Pair, True), (Safe, False), (Node, False), (Checked, False)],
)
def test_aliases_are_found_at_any_depth(declared: Any, aliased: bool) -> None:
    assert found(declared).has_aliases is aliased
    assert found(dict[str, list[declared | None]]).has_aliases is aliased
