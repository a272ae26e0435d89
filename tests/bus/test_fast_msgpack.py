"""The fast ways are there for who has installed them, mean the same as the usual ones, and leave to those the rest."""

import subprocess
import sys
from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from cqrsbus.bus.codec import MSGPACK
from cqrsbus.bus.fast_msgpack import fast_packed, fast_unpacked
from cqrsbus.bus.types import message_type
from cqrsbus.errors import InvalidMessageError


class Counted(BaseModel):
    number: int


def test_it_writes_the_fields_of_a_model() -> None:
    assert fast_packed({"number": 7}) == b"\x81\xa6number\x07"


def test_what_it_refuses_is_left_to_the_other_one() -> None:
    assert fast_packed({"number": 2**64}) is None
    with pytest.raises(InvalidMessageError, match="64 bits"):
        MSGPACK.encode(Counted(number=2**64))


SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=70)
MAPS = st.dictionaries(st.text(max_size=70) | st.binary(max_size=2) | st.integers(-9, 99), SCALARS, max_size=4)
OTHERS = st.recursive(SCALARS | st.binary(max_size=3), lambda inner: st.lists(inner, max_size=3) | MAPS, max_leaves=5)
BODIES = (
    st.binary(max_size=40)
    | st.tuples(OTHERS.map(msgpack.packb), st.just(b"") | st.binary(max_size=2)).map(b"".join)
    | st.tuples(MAPS.map(msgpack.packb), st.integers(0, 80), st.binary(max_size=2)).map(
        lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1] :]
    )
)


@settings(max_examples=1000)
@given(BODIES)
@example(b"\x81\xa1a\xca\x3f\x80\x00\x00")
@example(b"\x82\xa1a\x01\xa1a\x02")
@example(b"\x81\xa1a\xd6\xff\x00\x00\x00\x01")
@example(b"\x81\xa1a\xa1\xff")
@example(b"\x81\xa1a\x01\x00")
@example(b"\xdf\xff\xff\xff\xff\xa1a\x01")
def test_what_it_reads_is_what_the_usual_way_reads(body: bytes) -> None:
    read = fast_unpacked(body)
    if read is not None:
        usual: Any = msgpack.unpackb(body, strict_map_key=False)
        assert repr(read) == repr(usual)


@given(st.dictionaries(st.text(max_size=40), SCALARS, max_size=4))
def test_it_reads_maps_of_texts_and_numbers(held: dict[str, Any]) -> None:
    assert repr(fast_unpacked(msgpack.packb(held))) == repr(held)


@pytest.mark.parametrize("tree", [[1], {"a": [1]}, {"a": {}}, {1: 2}, {"a": b"b"}, {"a": msgpack.Timestamp(1)}, None])
def test_what_it_does_not_read_is_left_to_the_usual_way(tree: object) -> None:
    assert fast_unpacked(msgpack.packb(tree)) is None


@pytest.mark.parametrize("more", [{"list": [1]}, {"bytes": b"b"}, {"map": {"a": 1}}])
def test_what_was_not_declared_is_no_hindrance(more: dict[str, object]) -> None:
    body = msgpack.packb({"number": 7, **more})
    assert MSGPACK.decode(body, message_type(Counted)) == Counted(number=7)


def test_without_them_the_bytes_are_the_same() -> None:
    program = (
        "import sys; sys.modules['ormsgpack'] = sys.modules['msgspec'] = None\n"
        "from tests.bus.test_fast_msgpack import Counted, MSGPACK, fast_packed, fast_unpacked, message_type\n"
        "assert fast_packed({'number': 7}) is None\n"
        "assert fast_unpacked(MSGPACK.encode({'number': 7})) is None\n"
        "body = MSGPACK.encode(Counted(number=7))\n"
        "assert MSGPACK.decode(body, message_type(Counted)) == Counted(number=7)\n"
        "print(body.hex())"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    assert bytes.fromhex(done.stdout) == MSGPACK.encode(Counted(number=7))
