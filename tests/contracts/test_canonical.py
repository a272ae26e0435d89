import json
from typing import Any

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from cqrsbus.contracts.canonical import Schema, canonical, digest, tidy
from cqrsbus.contracts.schema import schema_of


class Line(BaseModel):
    """A line of an order."""

    title: str = Field(description="What it is", examples=["a book"])
    amount: float = Field(1.0, title="How much")


class Row(BaseModel):
    amount: float = 2.0
    title: str


class Order(BaseModel):
    lines: list[Line]
    first: Line | None = None


class Purchase(BaseModel):
    first: Row | None = None
    lines: list[Row]


def reader(annotation: Any) -> Schema:
    return schema_of(TypeAdapter(annotation), "reader")


def test_only_what_travels_is_kept() -> None:
    assert reader(Line) == {
        "type": "object",
        "properties": {"title": {"type": "string"}, "amount": {"type": "number"}},
        "required": ["title"],
    }


def test_names_and_order_of_declaration_do_not_matter() -> None:
    assert canonical(reader(Order)) == canonical(reader(Purchase))
    assert digest(reader(Order)) == digest(reader(Purchase))


@pytest.mark.parametrize("other", [Line, list[Order], Order | None])
def test_other_types_have_other_hashes(other: Any) -> None:
    assert digest(reader(other)) != digest(reader(Order))


def test_a_hash_is_the_same_in_every_process() -> None:
    assert digest(reader(list[int])) == "0128ef9bd2206166"


def test_unused_definitions_go() -> None:
    schema: Schema = {"$ref": "#/$defs/b", "$defs": {"a": {"type": "null"}, "b": {"type": "object", "title": "B"}}}
    assert tidy(schema) == {"$ref": "#/$defs/0", "$defs": {"0": {"type": "object"}}}


def test_a_field_may_be_called_like_a_keyword() -> None:
    properties = {"title": {"type": "string"}, "default": {"type": "string", "default": "secret"}}
    assert tidy({"type": "object", "properties": properties}) == {
        "type": "object",
        "properties": {"title": {"type": "string"}, "default": {"type": "string"}},
    }


def test_a_default_is_told_to_nobody() -> None:
    class Login(BaseModel):
        token: str = "s3cret"

    assert "s3cret" not in json.dumps([reader(Login), schema_of(TypeAdapter(Login), "writer")])
