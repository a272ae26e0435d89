"""Which unions are refused when they are compiled, and that the others are told apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Discriminator, Field, RootModel, Tag
from typing_extensions import TypedDict

from cqrsbus.bus.codec import JSON
from cqrsbus.bus.types import message_type
from cqrsbus.errors import InvalidMessageError


class Text(StrEnum):
    A = "a"


class Number(IntEnum):
    ONE = 1


class Either(Enum):
    A = "a"
    ONE = 1


class Small(BaseModel):
    x: int


class Large(BaseModel):
    x: int
    y: int = 0


class Larger(BaseModel):
    x: int
    y: int


class Other(BaseModel):
    z: int


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")
    w: int = 0


@dataclass
class SmallToo:
    x: int


class SmallDict(TypedDict):
    x: int


class One(BaseModel):
    kind: Literal["one"] = "one"
    x: int = 0


class Two(BaseModel):
    kind: Literal["two"] = "two"
    x: int = 0


class Words(RootModel[str]):
    pass


class Renamed(BaseModel):
    x: int = Field(alias="z")


class Tree(BaseModel):
    branches: list["Tree | str"] = []
    leaf: "str | datetime" = ""


def kind_of(value: Any) -> str:
    return "small" if "x" in value else "other"


Told = Annotated[Annotated[Small, Tag("small")] | Annotated[Other, Tag("other")], Discriminator(kind_of)]

AMBIGUOUS: list[tuple[Any, str]] = [
    (str | datetime, "str or datetime"),
    (datetime | date, "datetime or date"),
    (date | time | None, "date or time"),
    (str | UUID, "str or UUID"),
    (Path | str, "Path or str"),
    (Path | int, "Path or int"),
    (str | Text, "str or an enum"),
    (int | Number, "int or an enum"),
    (int | Either, "int or an enum"),
    (int | Decimal, "int or Decimal"),
    (Decimal | float, "Decimal or float"),
    (Fraction | int, "a custom type or int"),
    (bytes | UUID, "bytes or UUID"),
    (Words | str, "Words or str"),
    (Any | datetime, "Any or datetime"),
    (list[int] | set[int], "list or set"),
    (list[int] | tuple[int, ...], "list or tuple"),
    (Sequence[int] | frozenset[int], "list or frozenset"),
    (list[str] | list[datetime], "list or list"),
    (dict[str, str] | dict[str, UUID], "dict or dict"),
    (list[Small] | list[Other], "list or list"),
    (Small | Large, "Small or Large"),
    (Large | Small, "Large or Small"),
    (Small | SmallToo, "Small or SmallToo"),
    (Small | dict[str, int], "Small or dict"),
    (Small | Loose, "Small or Loose"),
    (Renamed | Other, "Renamed or Other"),
    (SmallDict | Small, "SmallDict or Small"),
    (list[str | datetime], "str or datetime"),
    (dict[str, tuple[int | Decimal, ...]], "int or Decimal"),
    (Annotated[int | str, Field(union_mode="left_to_right")], "left-to-right"),
    (Tree, "leaf may be str or datetime"),
]

CLEAR: list[Any] = [
    int | str,
    int | float | bool | str | None,
    bytes | list[int],
    datetime | int | float | None,
    UUID | bool,
    Literal["a"] | str,
    Literal["a", 1] | None,
    list[int] | list[str],
    list[int] | dict[str, int],
    dict[str, int] | dict[str, str],
    Small | Larger,
    Small | Other,
    Small | str | list[Small],
    One | Two,
    Annotated[One | Two, Field(discriminator="kind")],
    Told,
    Text | None,
    Any | None,
    Path | None,
]


@pytest.mark.parametrize(("declared", "says"), AMBIGUOUS)
def test_an_ambiguous_union_is_refused_when_compiled(declared: Any, says: str) -> None:
    with pytest.raises(InvalidMessageError, match=says):
        message_type(declared)


@pytest.mark.parametrize("declared", CLEAR)
def test_a_clear_union_is_accepted(declared: Any) -> None:
    assert message_type(declared).facts.flaw == ""


@pytest.mark.parametrize(
    "declared", [str | bytes, dict[int | str, int], list[bytes | str], dict[int | None, int]], ids=str
)
def test_what_only_json_confuses_is_refused_by_json_alone(declared: Any) -> None:
    compiled = message_type(declared)
    with pytest.raises(InvalidMessageError, match="JSON"):
        JSON.decode(b"{}", compiled)


def test_the_refusal_says_where() -> None:
    class Letter(BaseModel):
        sent: dict[str, list[datetime | str]]

    with pytest.raises(InvalidMessageError, match="Letter cannot be a message: sent may be datetime or str"):
        message_type(Letter)


def test_a_message_with_an_ambiguous_union_is_refused_when_written() -> None:
    class Doubtful(BaseModel):
        when: str | datetime

    with pytest.raises(InvalidMessageError, match="when may be str or datetime"):
        JSON.encode(Doubtful(when="today"))
