"""How a command fails: one line on stderr, and an exit code that a script can tell apart.

====  ====================================================================================
code  meaning
====  ====================================================================================
0     done
1     failed: nobody handles the topic, a queue is full, the port is in use...
2     used wrongly: an unknown option, a malformed topic, a bad setting
3     the handler at the other end failed, was lost, or could not read the message
4     no broker was reached, or the connection to it was lost, or a command was not confirmed
5     no answer in time
128+  ended by a signal while waiting for an answer: 130 by ctrl-C, 143 by SIGTERM
====  ====================================================================================
"""

import json
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from enum import IntEnum
from signal import Signals

import typer

from cqrsbus.cli.output import OutputError, visible
from cqrsbus.errors import (
    BusError,
    ConnectError,
    ConnectionLostError,
    DeadlineExceededError,
    HandlerLostError,
    InvalidMessageError,
    InvalidTopicError,
    ListenError,
    RemoteError,
)


class ExitCode(IntEnum):
    """What a command tells its caller; see the module."""

    OK = 0
    FAILED = 1
    USAGE = 2
    REMOTE = 3
    UNREACHABLE = 4
    TIMEOUT = 5


#: The first class that fits decides.
_EXIT_CODES: tuple[tuple[type[BusError], ExitCode], ...] = (
    (RemoteError, ExitCode.REMOTE),
    (InvalidMessageError, ExitCode.REMOTE),
    # The broker is there, unlike with the class that this one is of.
    (HandlerLostError, ExitCode.REMOTE),
    (ListenError, ExitCode.FAILED),
    (ConnectError, ExitCode.UNREACHABLE),
    (ConnectionLostError, ExitCode.UNREACHABLE),
    (DeadlineExceededError, ExitCode.TIMEOUT),
    (InvalidTopicError, ExitCode.USAGE),
)


class CommandError(Exception):
    """The command cannot do what it was asked to, for a reason of its own.

    Args:
        message: What is wrong and what to do about it.
        exit_code: What the process ends with.
    """

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class UsageError(CommandError):
    """The command was called, or configured, in a way that cannot work."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitCode.USAGE)


def exit_code_of(error: BusError) -> ExitCode:
    """What the process ends with after this error."""
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), ExitCode.FAILED)


@contextmanager
def reporting(*, as_json: bool) -> Generator[None]:
    """Tell of a failure on stderr and end the process with its exit code.

    Args:
        as_json: Tell it as one JSON object: ``error``, ``code`` (the stable code of a bus error, else null),
            ``exit_code`` and ``message``.
    """
    try:
        yield
    except CommandError as error:
        _report(error, None, error.exit_code, as_json=as_json)
    except BusError as error:
        _report(error, int(error.code), exit_code_of(error), as_json=as_json)
    except BrokenPipeError:
        # Whoever read our output has gone.
        _leave_stdout()
        raise typer.Exit(ExitCode.FAILED) from None
    except OutputError as error:
        _leave_stdout()
        _report(error, None, ExitCode.FAILED, as_json=as_json)


def _leave_stdout() -> None:
    """The interpreter must not fail on flushing once more what could not be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def interrupted(signal: Signals) -> typer.Exit:
    """What ends a command that a signal cut short."""
    return typer.Exit(128 + signal)


def _report(error: Exception, code: int | None, exit_code: ExitCode, *, as_json: bool) -> None:
    line = f"error: {visible(str(error))}"
    if as_json:
        fields = {"error": type(error).__name__, "code": code, "exit_code": int(exit_code), "message": str(error)}
        line = json.dumps(fields)
    sys.stderr.write(line + "\n")
    raise typer.Exit(exit_code) from None
