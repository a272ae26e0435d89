"""The stamp: written by brokers, read by whoever wants to know who speaks."""

import pytest

from cqrsbus.wire.header import encode_header
from cqrsbus.wire.stamp import full_stamp_of, instance_of, sender_of, stamp_of


def test_the_sender_is_the_service() -> None:
    assert sender_of(stamp_of("mailer")) == "mailer"
    assert stamp_of("desk") == bytes.fromhex("81a466726f6da46465736b")


def test_what_else_a_stamp_says_is_ignored() -> None:
    assert sender_of(encode_header({"from": "desk", "zone": 3})) == "desk"


@pytest.mark.parametrize("stamp", [b"", b"\xc1", b"\x80", encode_header({"zone": 3})])
def test_who_is_not_named_is_nobody(stamp: bytes) -> None:
    assert sender_of(stamp) == ""


def test_the_full_stamp_tells_instances_apart() -> None:
    stamp = full_stamp_of("mailer", "m-1")
    assert (sender_of(stamp), instance_of(stamp)) == ("mailer", "m-1")
    assert instance_of(stamp_of("mailer")) == instance_of(b"\xc1") == ""
