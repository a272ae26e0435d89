"""The fast packer is there for who has installed it, and leaves to the other one what it cannot do."""

import subprocess
import sys

import pytest
from pydantic import BaseModel

from cqrsbus.bus.codec import MSGPACK
from cqrsbus.bus.fast_packer import fast_packed
from cqrsbus.errors import InvalidMessageError


class Counted(BaseModel):
    number: int


def test_it_writes_the_fields_of_a_model() -> None:
    assert fast_packed({"number": 7}) == b"\x81\xa6number\x07"


def test_what_it_refuses_is_left_to_the_other_one() -> None:
    assert fast_packed({"number": 2**64}) is None
    with pytest.raises(InvalidMessageError, match="64 bits"):
        MSGPACK.encode(Counted(number=2**64))


def test_without_it_the_bytes_are_the_same() -> None:
    program = (
        "import sys; sys.modules['ormsgpack'] = None\n"
        "from tests.bus.test_fast_packer import Counted, MSGPACK, fast_packed\n"
        "assert fast_packed({'number': 7}) is None\n"
        "print(MSGPACK.encode(Counted(number=7)).hex())"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    assert bytes.fromhex(done.stdout) == MSGPACK.encode(Counted(number=7))
