from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter
from pydantic_core import core_schema

from cqrsbus.contracts.contract import contract, decode_contracts, encode_contracts
from cqrsbus.contracts.schema import schema_of


class Find(BaseModel):
    word: str


MADE = contract(
    "query",
    "note.find",
    schema_of(TypeAdapter(Find), "reader"),
    schema_of(TypeAdapter(list[str]), "writer"),
    place="notes.find (notes.py:7)",
    service="notes",
    version="1.4",
)


def test_it_comes_back_as_it_was() -> None:
    assert decode_contracts(encode_contracts([MADE, MADE]), "notes") == [MADE, MADE]
    assert decode_contracts(encode_contracts([MADE.without_schemas()]), "notes") == [MADE.without_schemas()]


def test_whose_it_is_says_the_broker() -> None:
    assert decode_contracts(encode_contracts([MADE]), "others")[0].service == "others"


def test_it_says_where_it_is() -> None:
    assert str(MADE) == "notes 1.4: notes.find (notes.py:7)"
    assert str(contract("event", "a", {}, None, service="notes")) == "notes"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"5",
        b"{}",
        b"[5]",
        b"[{}]",
        b'[{"form":2}]',
        b"[" * 100_000,
        b'[{"form":1,"place":"\\ud800"}]',
        b'[{"form":1,"message":5}',
    ],
)
def test_what_is_none_is_left_out(body: bytes) -> None:
    assert decode_contracts(body, "notes") == []


def test_what_is_known_is_kept_of_what_is_odd() -> None:
    (odd,) = decode_contracts(b'[{"form":1,"message":5,"topic":7,"more":[]}]', "notes")
    assert (odd.message, odd.answer, odd.topic, odd.kind) == (None, None, "7", "")


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_left_out(body: bytes) -> None:
    assert isinstance(decode_contracts(body, "notes"), list)


class Odd:
    """A type that pydantic has no JSON schema for."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Callable[[Any], Any]) -> Any:
        return core_schema.is_instance_schema(cls)


def test_what_pydantic_has_no_schema_for_is_anything() -> None:
    assert schema_of(TypeAdapter(Odd), "reader") == {}
    assert schema_of(TypeAdapter(list[Odd]), "writer") == {"type": "array", "items": {}}
