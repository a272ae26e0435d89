"""The bound on what a body may make the unpacker allocate."""

import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrsbus.bus.bounds import check_declared_lengths
from cqrsbus.bus.codec import MSGPACK
from cqrsbus.bus.types import message_type
from cqrsbus.errors import InvalidMessageError

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers(-(2**63), 2**63) | st.floats() | st.binary() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(st.integers(0, 99), inner, max_size=40),
    max_leaves=100,
)


@given(values)
def test_an_honest_body_passes(value: Any) -> None:
    check_declared_lengths(msgpack.packb(value))


@pytest.mark.parametrize("chaff", [b"\xdc", b"\xdd", b"\xdc\x40\x00", b"\xdd\x00\x00\x40\x00"])
@pytest.mark.parametrize("wrap", [bytes, lambda chaff: [chaff, 1.5, -7, {"a": 2**40}]])
def test_bytes_that_look_like_arrays_pass(chaff: bytes, wrap: Any) -> None:
    body = msgpack.packb(wrap(chaff * 30_000))
    check_declared_lengths(body)
    assert MSGPACK.decode(body, message_type(Any)) == wrap(chaff * 30_000)


def test_many_small_texts_that_look_like_arrays_pass() -> None:
    value = ["\u0720\u0760"] * 20_000
    assert MSGPACK.decode(msgpack.packb(value), message_type(list[str])) == value


@pytest.mark.parametrize("head", [b"\xdc\xff\xff", b"\xdd\x00\x01\x00\x00", b"\x91\xdd\x00\x01\x00\x00"])
def test_arrays_that_declare_more_than_the_body_holds_allocate_nothing(head: bytes) -> None:
    body = head * 500 + bytes(70_000)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidMessageError, match="declares more items"):
            MSGPACK.decode(body, message_type(Any))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
