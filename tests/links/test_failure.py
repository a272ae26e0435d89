"""What is said of a failure is cut to what the broker takes."""

from collections.abc import Mapping
from typing import Any

import pytest

from cqrsbus.errors import Code
from cqrsbus.links.channel import Terms
from cqrsbus.links.failure import failure_frame
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import decode_header


def failure(
    fields: Mapping[str, Any], body: bytes = b"", *, max_header: int = 200, max_frame: int = 400
) -> tuple[Frame, Mapping[str, Any]]:
    settlement = Frame(Kind.REPLY, id=5, flags=Flag.FAILED, detail=Code.REMOTE_ERROR)
    frame = failure_frame(settlement, fields, body, Terms(0, max_frame, max_header, 1, 1))
    assert frame.header_size <= max_header
    assert frame.size <= max_frame
    return frame, decode_header(frame.header)


def test_what_fits_is_said_in_full() -> None:
    fields = {"type": "E", "reason": "r", "ct": "application/json", "traceback": "t"}
    frame, header = failure(fields, b"{}")
    assert (header, frame.body) == (fields, b"{}")
    assert (frame.kind, frame.id, frame.flags, frame.detail) == (Kind.REPLY, 5, Flag.FAILED, Code.REMOTE_ERROR)


def test_nothing_to_say() -> None:
    frame, header = failure({})
    assert (header, frame.tail) == ({}, b"")


def test_of_a_traceback_the_end_is_kept_and_all_else() -> None:
    _, header = failure({"type": "E", "reason": "r" * 50, "traceback": "".join(map(str, range(200)))})
    assert (header["type"], header["reason"]) == ("E", "r" * 50)
    assert header["traceback"].endswith("198199")
    assert 20 < len(header["traceback"]) < 130


def test_a_long_reason_is_cut_when_there_is_no_traceback_left() -> None:
    _, header = failure({"type": "E", "reason": "r" * 1000, "traceback": "t" * 1000})
    assert header["traceback"] == ""
    assert 50 < len(header["reason"]) < 200


@pytest.mark.parametrize("size", [1, 100_000])
def test_fields_that_do_not_fit_are_left_out(size: int, caplog: pytest.LogCaptureFixture) -> None:
    room = 400 - 28 - len(failure({"type": "E"})[0].header)
    assert failure({"type": "E"}, b"x" * room)[0].size == 400
    assert not caplog.records
    frame, header = failure({"type": "E"}, b"x" * (room + size))
    assert (header, frame.body) == ({"type": "E"}, b"")
    assert f"the fields of E have {room + size} bytes; the broker takes 400" in caplog.text
