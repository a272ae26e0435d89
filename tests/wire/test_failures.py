"""The error that a frame stands for, whatever it says."""

import pytest

from cqrsbus.errors import (
    BusError,
    Code,
    DeadlineExceededError,
    InvalidMessageError,
    NoHandlerError,
    ProtocolError,
    RemoteError,
    Stage,
)
from cqrsbus.wire.failures import error_in, fields_of
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import Value, encode_header
from cqrsbus.wire.stamp import stamp_of


def frame(code: int, *, body: bytes = b"", stamp: bytes = b"", **fields: Value) -> Frame:
    failed = Frame.of(Kind.REPLY, flags=Flag.FAILED, detail=code, header=encode_header(fields), body=body)
    failed.stamp = stamp
    return failed


@pytest.mark.parametrize("code", [code for code in Code if code < Code.CONNECT_FAILED])
def test_every_code_on_the_wire_comes_back_as_an_error_that_says_the_reason(code: Code) -> None:
    error = error_in(frame(code, reason="because"), topic="a.b")
    assert isinstance(error, BusError)
    assert type(error) is not BusError
    assert error.topic == "a.b"
    assert "because" in str(error)


def test_a_remote_error_has_all_that_was_said() -> None:
    said = frame(
        Code.REMOTE_ERROR,
        type="MailboxLocked",
        reason="by bob",
        ct="application/json",
        traceback="line 7",
        body=b"{}",
        stamp=stamp_of("mailer"),
    )
    error = error_in(said, topic="a.b")
    assert isinstance(error, RemoteError)
    assert (error.type, error.message, error.topic) == ("MailboxLocked", "by bob", "a.b")
    assert (error.service, error.traceback) == ("mailer", "line 7")
    assert (error.content_type, error.body) == ("application/json", b"{}")


def test_a_remote_error_of_which_nothing_was_said() -> None:
    error = error_in(frame(Code.REMOTE_ERROR))
    assert isinstance(error, RemoteError)
    assert (error.type, error.message, error.service, error.traceback) == ("Exception", "", "", None)
    assert (error.content_type, error.body) == ("application/msgpack", b"")


def test_an_invalid_message_keeps_its_entries() -> None:
    entries = ({"loc": ("a",), "msg": "m", "type": "t"},)
    error = error_in(frame(Code.INVALID_MESSAGE, reason="r", entries=entries))
    assert isinstance(error, InvalidMessageError)
    assert error.entries == entries


@pytest.mark.parametrize("entries", [7, "text", None, (1, "a")])
def test_entries_of_another_type_are_left_out(entries: Value) -> None:
    error = error_in(frame(Code.INVALID_MESSAGE, entries=entries))
    assert isinstance(error, InvalidMessageError)
    assert error.entries == ()


def test_an_unknown_code_is_said_and_not_guessed() -> None:
    error = error_in(frame(9999, reason="from the future"))
    assert isinstance(error, ProtocolError)
    assert "unknown error code 9999: from the future" in str(error)


@pytest.mark.parametrize("odd", [7, b"\xff", None, {"a": 1}])
def test_a_field_of_another_type_does_no_harm(odd: Value) -> None:
    assert isinstance(error_in(frame(Code.NO_HANDLER, reason=odd)), NoHandlerError)
    error = error_in(frame(Code.REMOTE_ERROR, reason=odd, type=odd, ct=odd, traceback=odd, stamp=b"\xc1"))
    assert isinstance(error, RemoteError)
    assert (error.service, error.traceback) == ("", None)
    assert str(error)


def test_a_malformed_header_is_the_peers_breach() -> None:
    with pytest.raises(ProtocolError, match="header"):
        error_in(Frame.of(Kind.REJECT, detail=Code.NO_HANDLER, header=b"\xc1"))


@pytest.mark.parametrize("stage", ["connect", "queue", "handler", "reply"])
def test_a_passed_deadline_says_where_the_time_was_lost(stage: Stage) -> None:
    error = DeadlineExceededError("too late", stage=stage)
    told = error_in(frame(error.code, reason=error.reason, stage=fields_of(error)["stage"]))
    assert isinstance(told, DeadlineExceededError)
    assert (told.reason, told.stage) == ("too late", stage)


@pytest.mark.parametrize("said", ["elsewhere", 7, None])
def test_a_stage_that_is_not_known_says_only_that_nothing_came(said: Value) -> None:
    told = error_in(frame(Code.DEADLINE_EXCEEDED, stage=said))
    assert isinstance(told, DeadlineExceededError)
    assert told.stage == "reply"
