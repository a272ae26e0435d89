"""The header: what is let through, and that everything else is one and the same error."""

import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrsbus.errors import Code, ProtocolError
from cqrsbus.wire.header import MAX_DEPTH, MAX_ENTRIES, Fields, decode_header, encode_header, number, text

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary()
)
VALUES = SCALARS | st.lists(SCALARS).map(tuple) | st.dictionaries(st.text(), SCALARS | st.lists(SCALARS).map(tuple))


def nested(depth: int) -> dict[str, Any]:
    """A map that is nested this deep, itself counted."""
    fields: dict[str, Any] = {"leaf": 1}
    for level in range(depth - 1):
        fields = {"inner": [fields] if level == 0 and depth % 2 else fields}
    return fields


def packed(value: object) -> bytes:
    return bytes(msgpack.packb(value))


@given(st.dictionaries(st.text(), VALUES))
def test_what_is_encoded_is_decoded(fields: dict[str, Any]) -> None:
    assert decode_header(encode_header(fields)) == fields


def test_an_empty_map_is_no_bytes() -> None:
    assert encode_header({}) == b""
    assert decode_header(b"") == decode_header(b"\x80") == {}


HOSTILE = {
    "not a map": packed([1]),
    "text": packed("text"),
    "nil": b"\xc0",
    "never used": b"\x81\xa1a\xc1",
    "int key": packed({1: 1}),
    "nil key": b"\x81\xc0\x01",
    "bytes key": packed({b"a": 1}),
    "array key": b"\x81\x90\x01",
    "inner int key": packed({"a": {1: 1}}),
    "inner bytes key": packed({"a": [{b"b": 1}]}),
    "duplicate key": b"\x82\xa1a\x01\xa1a\x02",
    "inner duplicate key": b"\x81\xa1a\x82\xa1b\x01\xa1b\x02",
    "bad utf-8 key": b"\x81\xa1\xff\x01",
    "bad utf-8": b"\x81\xa1a\xa2\xc3\x28",
    "surrogate": b"\x81\xa1a\xa3\xed\xa0\x80",
    "overlong": b"\x81\xa1a\xa2\xc0\x80",
    "trailing byte": packed({"a": 1}) + b"\0",
    "two maps": packed({"a": 1}) * 2,
    "no value": b"\x81\xa1a",
    "extension": packed({"a": msgpack.ExtType(5, b"data")}),
    "timestamp": packed({"a": msgpack.Timestamp(1, 2)}),
    "inner timestamp": packed({"a": [{"b": msgpack.Timestamp(1)}]}),
    "declared array": b"\x81\xa1a\xdd\xff\xff\xff\xff",
    "declared map": b"\x81\xa1a\xdf\xff\xff\xff\xff",
    "declared text": b"\x81\xa1a\xdb\xff\xff\xff\xff",
    "declared bytes": b"\x81\xa1a\xc6\xff\xff\xff\xff",
    "declared extension": b"\x81\xa1a\xc9\xff\xff\xff\xff\x01",
    "declared header": b"\xdf\xff\xff\xff\xff",
    "too many entries": packed({"a": list(range(MAX_ENTRIES + 1))}),
    "too many keys": packed({str(key): key for key in range(MAX_ENTRIES + 1)}),
    "too deep": packed(nested(MAX_DEPTH + 1)),
    "far too deep": b"\x81\xa1a" + b"\x91" * 8000 + b"\xc0",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_whatever_is_wrong_is_a_bad_frame(data: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_header(data)
    assert caught.value.code == Code.BAD_FRAME


@pytest.mark.parametrize("depth", range(1, MAX_DEPTH + 1))
def test_as_deep_as_allowed(depth: int) -> None:
    assert decode_header(packed(nested(depth))).keys() <= {"leaf", "inner"}


@pytest.mark.parametrize("level", [b"\xdc\x20\x00", b"\xdd\x00\x00\x20\x00", b"\xde\x01\x00\xa1a", b"\xdc\x01\x00"])
def test_room_declared_at_every_level_is_not_made(level: bytes) -> None:
    data = b"\x81\xa1a" + level * ((8192 - 3) // len(level))
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            decode_header(data)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=100), st.data())
def test_mutated_headers_give_a_map_or_a_bad_frame(noise: bytes, data: st.DataObject) -> None:
    good = packed({"id": "x" * 20, "hdr": {"a": "b"}, "n": [1, 2.5, None, b"c"]})
    at = data.draw(st.integers(0, len(good)))
    for candidate in (noise, good[:at] + noise, good[:at] + noise[:1] + good[at + 1 :]):
        try:
            fields, code = decode_header(candidate), Code.BAD_FRAME
        except ProtocolError as error:
            fields, code = {}, error.code
        assert all(isinstance(key, str) for key in fields)
        assert code == Code.BAD_FRAME


def test_nothing_of_the_input_is_told() -> None:
    for data in (packed({"s3cret": 1}) + b"s3cret", packed({b"s3cret": 1}), b"\x82\xa6s3cret\x01\xa6s3cret\x01"):
        with pytest.raises(ProtocolError) as caught:
            decode_header(data)
        assert "s3cret" not in str(caught.value)


def test_text_is_taken_within_its_limit() -> None:
    fields: Fields = {"a": "éé", "b": 1, "c": None}
    assert text(fields, "a", limit=2) == "éé"
    assert text(fields, "d", limit=2, default="x") == "x"
    for key, limit, reason in (
        ("a", 1, "more than 1"),
        ("b", 9, "not text"),
        ("c", 9, "not text"),
        ("d", 9, "missing"),
    ):
        with pytest.raises(ProtocolError, match=reason):
            text(fields, key, limit=limit)


def test_a_number_is_taken_within_its_bounds() -> None:
    fields: Fields = {"a": 5, "b": True, "c": 5.0, "d": "5"}
    assert number(fields, "a", default=1, low=5, high=5) == 5
    assert number(fields, "e", default=7, high=9) == 7
    assert number({"z": 0}, "z", default=7, high=9) == 0
    for key in "bcd":
        with pytest.raises(ProtocolError, match="whole number"):
            number(fields, key, default=1, high=10)
    for low, high in ((6, 9), (0, 4)):
        with pytest.raises(ProtocolError, match="whole number"):
            number(fields, "a", default=1, low=low, high=high)
