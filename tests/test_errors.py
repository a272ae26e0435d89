"""The error tree: what each error says, and which code stands for which class."""

import inspect
from traceback import format_exception

import pytest

import cqrsbus
from cqrsbus import errors
from cqrsbus.errors import BusError, Code, ProtocolError, RemoteError

CODES = {
    "BAD_FRAME": 100,
    "UNSUPPORTED": 101,
    "UNEXPECTED_FRAME": 102,
    "FRAME_TOO_LARGE": 103,
    "HANDSHAKE_TIMEOUT": 104,
    "TOO_MANY_CONNECTIONS": 105,
    "AUTH_FAILED": 106,
    "HEARTBEAT_LOST": 107,
    "SLOW_CONSUMER": 108,
    "WINDOW_EXCEEDED": 109,
    "SHUTTING_DOWN": 110,
    "INTERNAL": 111,
    "NO_HANDLER": 200,
    "DEADLINE_EXCEEDED": 201,
    "PERMISSION_DENIED": 202,
    "INVALID_TOPIC": 203,
    "PAYLOAD_TOO_LARGE": 204,
    "QUEUE_FULL": 205,
    "TOPOLOGY": 206,
    "STORE_FULL": 207,
    "CANCELLED": 208,
    "HANDLER_LOST": 209,
    "REMOTE_ERROR": 300,
    "INVALID_MESSAGE": 301,
    "CONNECT_FAILED": 400,
    "CONNECTION_LOST": 401,
    "DELIVERY_UNKNOWN": 402,
    "QUORUM_NOT_REACHED": 403,
}

CLASSES = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, BusError)]


def test_no_code_ever_changes_its_meaning() -> None:
    assert {code.name: code.value for code in Code} == CODES


def test_every_error_is_public_and_explained() -> None:
    for cls in CLASSES:
        assert getattr(cqrsbus, cls.__name__) is cls
        assert cls.__doc__
        assert f" {cls.__name__} " in (errors.__doc__ or "") or cls is BusError


def test_the_tree_is_the_one_that_is_drawn() -> None:
    assert {cls.__name__: cls.__bases__[0].__name__ for cls in CLASSES if cls is not BusError} == {
        "AuthError": "ConnectError",
        "ConnectError": "BusError",
        "ConnectionLostError": "BusError",
        "DeadlineExceededError": "BusError",
        "DeliveryUnknownError": "ConnectionLostError",
        "HandlerLostError": "ConnectionLostError",
        "InvalidMessageError": "BusError",
        "InvalidTopicError": "TopologyError",
        "ListenError": "ConnectError",
        "NoHandlerError": "BusError",
        "PayloadTooLargeError": "BusError",
        "PermissionDeniedError": "BusError",
        "ProtocolError": "BusError",
        "QueueFullError": "BusError",
        "QuorumError": "BusError",
        "RemoteError": "BusError",
        "TopologyError": "BusError",
    }


def test_an_expired_deadline_is_a_timeout_and_a_bad_topic_a_bad_value() -> None:
    assert issubclass(errors.DeadlineExceededError, TimeoutError)
    assert issubclass(errors.InvalidTopicError, ValueError)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.NoHandlerError("nobody", topic="a.b"), "no handler is connected for 'a.b': nobody"),
        (errors.NoHandlerError(topic="a.b"), "no handler is connected for 'a.b'"),
        (errors.QueueFullError("7 wait"), "queue full: 7 wait"),
        (errors.ConnectError("nobody listens at x"), "nobody listens at x"),
        (RemoteError("KeyError", "'x'", topic="a"), "the handler failed for 'a': KeyError: 'x'"),
        (RemoteError("E", "m", topic="a", service="mailer"), "the handler in 'mailer' failed for 'a': E: m"),
        (RemoteError("KeyError"), "the handler failed: KeyError"),
        (ProtocolError("odd", code=Code.UNSUPPORTED), "protocol error: odd (UNSUPPORTED)"),
    ],
)
def test_an_error_builds_its_own_text(error: BusError, text: str) -> None:
    assert str(error) == text


def test_a_remote_error_shows_the_handlers_traceback_if_there_is_one() -> None:
    error = RemoteError("E", traceback='File "mail.py", line 7')
    assert 'File "mail.py", line 7' in "".join(format_exception(error))
    assert not hasattr(RemoteError("E"), "__notes__")
