"""What is certain to be refused is a break; what is read, or may be, is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NotRequired
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, TypeAdapter, create_model, field_validator
from typing_extensions import TypedDict

from cqrsbus.bus.codec import JSON, MSGPACK, Codec
from cqrsbus.bus.types import message_type
from cqrsbus.contracts.canonical import Schema
from cqrsbus.contracts.compare import MAX_BREAKS, breaks
from cqrsbus.contracts.schema import schema_of
from cqrsbus.errors import InvalidMessageError


def found(written: Any, read: Any) -> list[str]:
    return [
        str(each) for each in breaks(schema_of(TypeAdapter(written), "writer"), schema_of(TypeAdapter(read), "reader"))
    ]


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Point(NamedTuple):
    x: int
    y: int


class Line(BaseModel):
    number: int
    amount: float


class Order(BaseModel):
    id: UUID
    lines: list[Line]
    note: str | None = None


class Tree(BaseModel):
    value: int
    children: list["Tree"] = []


class TextTree(BaseModel):
    value: str
    children: list["TextTree"] = []


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (int, float), (bool, int), (date, datetime), (datetime, str), (str, datetime), (str, UUID), (UUID, str),
        (Path, str), (int, datetime), (float, timedelta), (Decimal, float), (Decimal, Decimal), (float, Decimal),
        (int, Decimal), (Color, str), (str, Color), (Level, int), (Literal["red"], Color),
        (Color, Literal["red", "blue"]), (int, int | None), (None, int | None), (int | str, str | int | None),
        (list[int], set[float]),
        (tuple[int, ...], list[int]), (tuple[int, str], list[int | str]), (list[Line], tuple[Line, ...]),
        (Point, Point), (Line, dict[str, float]), (dict[str, int], dict[str, float]), (dict[str, int], Line),
        (Line, dict), (Line, Any), (Any, Line), (Order, Order), (Tree, Tree), (bytes, str), (Line, Line | Order),
        (Line | Order, Order | Line),
    ],
)  # fmt: skip
def test_what_is_read_is_no_break(written: object, read: object) -> None:
    assert found(written, read) == []


@pytest.mark.parametrize(
    ("written", "read", "expected"),
    [
        (int, str, "the message is written as integer, and read as string"),
        (str, int, "the message is written as string, and read as integer"),
        (UUID, Decimal, "the message is written as string (uuid), and read as number or string (decimal)"),
        (float, int, "the message is written as number, and read as integer"),
        (str, bool, "the message is written as string, and read as boolean"),
        (bool, str, "the message is written as boolean, and read as string"),
        (int, bool, "the message is written as integer, and read as boolean"),
        (int, UUID, "the message is written as integer, and read as string (uuid)"),
        (UUID, datetime, "the message is written as string (uuid), and read as string (date-time)"),
        (datetime, date, "the message is written as string (date-time), and read as string (date)"),
        (date, time, "the message is written as string (date), and read as string (time)"),
        (Decimal, int, "the message is written as string (decimal), and read as integer"),
        (int | None, int, "the message is written as null, and read as integer"),
        (int | str, int, "the message is written as string, and read as integer"),
        (int | str | None, int | None, "the message is written as string, and read as integer or null"),
        (Color, Literal["red"], "the message is written as 'blue', and read as 'red'"),
        (Literal["red", "green", 1], Color, "the message is written as 'green', and read as one of 'blue', 'red'"),
        (Level, Literal[1], "the message is written as 2, and read as 1"),
        (Level, Color, "the message is written as 1, and read as one of 'blue', 'red'"),
        (int, Color, "the message is written as integer, and read as one of 'blue', 'red'"),
        (list[int], list[str], "[] is written as integer, and read as string"),
        (list[int], int, "the message is written as array, and read as integer"),
        (Line, list[int], "the message is written as object, and read as array"),
        (dict[str, int], dict[str, str], "[] is written as integer, and read as string"),
        (Line, dict[str, str], "number is written as integer, and read as string"),
        (tuple[int, int], tuple[int, int, int], "the message is written with 2 items, and 3 are read"),
        (tuple[int, int, int], tuple[int, int], "the message is written with 3 items, and 2 are read"),
        (tuple[int, str], list[int], "[] is written as string, and read as integer"),
        (tuple[int, str], tuple[int, int], "[] is written as string, and read as integer"),
        (Tree, TextTree, "value is written as integer, and read as string"),
        (Line, Order, "id is required, and not written"),
    ],
)  # fmt: skip
def test_what_is_refused_is_told(written: object, read: object, expected: str) -> None:
    assert expected in found(written, read)


def test_a_field_is_told_by_its_path() -> None:
    class NewLine(BaseModel):
        number: str
        amount: float
        vat: float

    class NewOrder(BaseModel):
        id: UUID
        lines: list[NewLine]

    assert found(Order, NewOrder) == [
        "lines[].number is written as integer, and read as string",
        "lines[].vat is required, and not written",
    ]


def test_a_member_of_a_union_is_compared_with_the_one_it_is_most_like() -> None:
    class NewLine(Line):
        vat: float

    assert found(Line, NewLine | Order | int) == ["vat is required, and not written"]


class Partial(TypedDict):
    number: int
    amount: NotRequired[float]


class Bare(TypedDict):
    number: int


@dataclass
class Data:
    number: int
    amount: float = 0.0


def test_a_default_is_always_written_and_need_not_be_read() -> None:
    assert found(Data, Line) == []
    assert found(Bare, Data) == []
    assert found(Partial, Line) == ["amount is required, and may be left out"]
    assert found(Partial, Data) == []


def test_a_reader_that_forbids_others_refuses_what_it_does_not_know() -> None:
    class Closed(BaseModel):
        model_config = ConfigDict(extra="forbid")
        number: int

    assert found(Line, Closed) == ["amount is written, and the reader forbids fields that it does not know"]
    assert found(Closed, Closed) == []


def test_a_computed_field_is_not_written() -> None:
    from pydantic import computed_field

    class Area(BaseModel):
        model_config = ConfigDict(extra="forbid")
        width: int

        @computed_field  # type: ignore[prop-decorator]  # as pydantic's documentation says
        @property
        def area(self) -> int:
            return self.width**2

    assert found(Area, Area) == []


def test_a_field_is_read_by_its_name_and_by_every_alias() -> None:
    class Old(BaseModel):
        mail: str

    class Aliased(BaseModel):
        address: str = Field(validation_alias=AliasChoices("address", "mail"))

    class Renamed(BaseModel):
        address: str = Field(alias="mail")

    class Deep(BaseModel):
        address: str = Field(validation_alias=AliasPath("mail", "address"))

    assert found(Old, Aliased) == found(Old, Renamed) == found(Renamed, Old) == found(Renamed, Renamed) == []
    assert found(Old, Deep) == []
    assert found(Aliased, Old) == ["mail is required, and not written"]
    assert found(Line, Renamed) == ["address is required, and not written"]


def test_what_a_validator_of_ones_own_reads_is_not_judged() -> None:
    class Lenient(BaseModel):
        number: str

        @field_validator("number", mode="before")
        @classmethod
        def to_text(cls, value: object) -> str:
            return str(value)

    class Coerced(BaseModel):
        model_config = ConfigDict(coerce_numbers_to_str=True)
        number: str

    class Careful(Enum):
        RED = "red"

        @classmethod
        def _missing_(cls, value: object) -> "Careful":
            return cls.RED

    assert found(Line, Lenient) == found(Line, Coerced) == found(Color, Careful) == []


def test_lengths_and_ranges_are_the_readers_business() -> None:
    assert found(str, Annotated[str, Field(max_length=3, pattern="a+")]) == []
    assert found(int, Annotated[int, Field(gt=3)]) == []


def test_there_are_at_most_so_many_breaks() -> None:
    def wide(kind: type) -> type[BaseModel]:
        fields: Mapping[str, Any] = {f"f{number}": (kind, ...) for number in range(100)}
        return create_model("Wide", **fields)

    assert len(found(wide(int), wide(str))) == MAX_BREAKS


# What is said here is what the codecs do.

SAMPLES: dict[Any, list[object]] = {
    int: [7, 0, 1],
    float: [1.5, 2.0],
    str: ["text", "7", "true"],
    bool: [True, False],
    type(None): [None],
    UUID: [UUID(int=5)],
    datetime: [datetime(2024, 5, 17, 9, 30, tzinfo=UTC)],
    date: [date(2024, 5, 17)],
    time: [time(9, 30)],
    timedelta: [timedelta(hours=3)],
    Decimal: [Decimal("1.5"), Decimal(2)],
    Color: list(Color),
    Level: list(Level),
    list[int]: [[7], []],
    tuple[int, str]: [(7, "seven")],
    dict[str, int]: [{"seven": 7}],
    Point: [Point(1, 2)],
    Line: [Line(number=1, amount=2.5)],
    Data: [Data(1, 2.5)],
}
BASIC = {int, float, str, bool, type(None), UUID, datetime, list[int], Line}


def is_read(codec: Codec, value: object, into: Any) -> bool:
    try:
        codec.decode(codec.encode(value), message_type(into))
    except InvalidMessageError:
        return False
    return True


@pytest.mark.parametrize("codec", [MSGPACK, JSON], ids=["msgpack", "json"])
@pytest.mark.parametrize("written", SAMPLES, ids=str)
def test_a_break_is_refused_by_the_codecs_and_what_they_never_read_is_one(written: Any, codec: Codec) -> None:
    for read in SAMPLES:
        outcomes = {is_read(codec, value, read) for value in SAMPLES[written]}
        if found(written, read):
            assert False in outcomes, f"{written} as {read}"
        elif {written, read} <= BASIC and written is not str:
            assert outcomes != {False}, f"{written} as {read}"


# What may come from elsewhere.


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/0", "$defs": {"0": {"$ref": "#/$defs/0"}}},
        {"$ref": 5},
        {"$defs": 5, "$ref": "#/$defs/0"},
        {"anyOf": 5},
        {"anyOf": [5]},
        {"type": 5},
        {"type": ["object", 5]},
        {"type": "object", "properties": 5, "required": 5},
        {"type": "object", "properties": {"number": 5}, "required": [5]},
        {"type": "object", "properties": {"number": {"x-names": 5}}},
        {"type": "array", "items": 5, "prefixItems": 5},
        {"enum": 5},
        {"type": "nonsense"},
        {"allOf": [{}]},
    ],
)
def test_nonsense_does_no_harm(schema: Schema) -> None:
    own = schema_of(TypeAdapter(Line), "writer")
    assert all(each.reason for each in [*breaks(schema, own), *breaks(own, schema)])


def test_a_union_of_itself_ends_soon() -> None:
    schema = {"$ref": "#/$defs/0", "$defs": {"0": {"anyOf": [{"$ref": "#/$defs/0"}] * 50}}}
    assert breaks(schema, schema) == []


def test_a_schema_that_doubles_at_every_level_ends_soon() -> None:
    definitions: dict[str, Any] = {
        str(number): {
            "anyOf": [
                {"type": "object", "properties": {"a": {"$ref": f"#/$defs/{number + 1}"}}, "required": ["a", str(each)]}
                for each in range(6)
            ]
        }
        for number in range(50)
    }
    definitions["50"] = {"type": "integer"}
    schema = {"$ref": "#/$defs/0", "$defs": definitions}
    assert isinstance(breaks(schema, schema), list)


# What holds for every schema.


def optional(each: Any) -> Any:
    return each if each is None else each | None


types = st.recursive(
    st.sampled_from(
        [int, float, str, bool, None, UUID, datetime, date, Decimal, bytes, Color, Literal["a", 1], Line, Tree, Any]
    ),
    lambda inner: st.one_of(
        inner.map(list.__class_getitem__),
        inner.map(lambda each: dict.__class_getitem__((str, each))),
        inner.map(optional),
        st.tuples(inner, inner).map(tuple.__class_getitem__),
    ),
    max_leaves=6,
)
names = st.sampled_from(["alpha", "beta", "gamma", "delta"])
fields = st.dictionaries(names, types, max_size=4)


def model(fields: Mapping[str, Any], **more: Any) -> type[BaseModel]:
    required: Mapping[str, Any] = {name: (each, ...) for name, each in fields.items()}
    return create_model("Made", **required, **more)


@given(types)
def test_a_type_reads_itself(each: Any) -> None:
    assert found(each, each) == []


@given(fields)
def test_a_model_reads_itself(each: Mapping[str, Any]) -> None:
    assert found(model(each), model(each)) == []


@given(fields, types)
def test_a_new_optional_field_is_read_by_old_and_new(each: Mapping[str, Any], extra: Any) -> None:
    old, new = model(each), model(each, extra=(extra, None))
    assert found(old, new) == found(new, old) == []


@given(fields, types)
def test_a_new_required_field_breaks_the_old_writer_alone(each: Mapping[str, Any], extra: Any) -> None:
    old, new = model(each), model(each, extra=(extra, ...))
    assert found(old, new) == ["extra is required, and not written"]
    assert found(new, old) == []
