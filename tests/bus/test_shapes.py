"""The forms that types take on the wire, read off their core schemas."""

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from pydantic import AfterValidator, AnyUrl, BaseModel, Json, RootModel, SecretStr, TypeAdapter

from cqrsbus.bus.shapes import Schemas


class Model(BaseModel):
    x: int


class Texts(RootModel[list[str]]):
    pass


class Mixed(Enum):
    A = "a"
    ONE = 1


class Pair(NamedTuple):
    x: int


class Loop(BaseModel):
    inner: "Loop | None" = None


@pytest.mark.parametrize(
    ("declared", "forms"),
    [
        (None, {"null"}),
        (bool, {"bool"}),
        (int | None, {"int", "null"}),
        (float | str, {"float", "text"}),
        (datetime, {"text"}),
        (Decimal, {"text"}),
        (Path, {"text"}),
        (IPv4Address, {"text"}),
        (AnyUrl, {"text"}),
        (SecretStr, {"text"}),
        (Json[list[int]], {"text"}),
        (bytes, {"bin"}),
        (list[int] | dict[str, int], {"array", "map"}),
        (deque[int], {"array"}),
        (Sequence[int], {"array"}),
        (Pair, {"array"}),
        (Model, {"map"}),
        (Loop, {"map"}),
        (Texts, {"array"}),
        (Mixed, {"text", "int"}),
        (Literal["a", 1, None, True], {"text", "int", "null", "bool"}),
        (Annotated[int, AfterValidator(abs)], {"int"}),
        (Any, {"any"}),
    ],
)
def test_forms(declared: Any, forms: set[str]) -> None:
    schemas = Schemas(TypeAdapter(declared).core_schema)
    assert {leaf.form for leaf in schemas.leaves(schemas.root)} == forms
