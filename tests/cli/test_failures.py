import json

import pytest
import typer

from cqrsbus import errors
from cqrsbus.cli.failures import CommandError, ExitCode, UsageError, exit_code_of, reporting


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.RemoteError("ValueError", "no"), ExitCode.REMOTE),
        (errors.InvalidMessageError("no"), ExitCode.REMOTE),
        (errors.ConnectError("no"), ExitCode.UNREACHABLE),
        (errors.ListenError("no"), ExitCode.FAILED),
        (errors.AuthError("no"), ExitCode.UNREACHABLE),
        (errors.ConnectionLostError("no"), ExitCode.UNREACHABLE),
        (errors.DeliveryUnknownError("no"), ExitCode.UNREACHABLE),
        (errors.HandlerLostError("no"), ExitCode.REMOTE),
        (errors.DeadlineExceededError("no"), ExitCode.TIMEOUT),
        (errors.InvalidTopicError("no"), ExitCode.USAGE),
        (errors.NoHandlerError("no"), ExitCode.FAILED),
        (errors.QueueFullError("no"), ExitCode.FAILED),
        (errors.PayloadTooLargeError("no"), ExitCode.FAILED),
        (errors.TopologyError("no"), ExitCode.FAILED),
        (errors.ProtocolError("no"), ExitCode.FAILED),
    ],
)
def test_every_error_has_its_exit_code(error: errors.BusError, code: ExitCode) -> None:
    assert exit_code_of(error) == code


def test_a_failure_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, reporting(as_json=False):
        raise errors.RemoteError("LookupError", "no\nsuch \x1bmail", topic="a.b")
    assert ended.value.exit_code == 3
    assert capsys.readouterr() == ("", "error: the handler failed for 'a.b': LookupError: no such \\u001bmail\n")


@pytest.mark.parametrize(
    ("error", "fields"),
    [
        (errors.NoHandlerError("nobody"), {"error": "NoHandlerError", "code": 200, "exit_code": 1}),
        (CommandError("broken"), {"error": "CommandError", "code": None, "exit_code": 1}),
        (UsageError("wrong"), {"error": "UsageError", "code": None, "exit_code": 2}),
    ],
)
def test_a_failure_as_json(error: Exception, fields: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, reporting(as_json=True):
        raise error
    assert ended.value.exit_code == fields["exit_code"]
    assert json.loads(capsys.readouterr().err) == {**fields, "message": str(error)}


def test_what_is_no_failure_of_ours_is_left_alone() -> None:
    with pytest.raises(ZeroDivisionError), reporting(as_json=False):
        raise ZeroDivisionError
