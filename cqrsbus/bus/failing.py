"""What a caller is told of a handler that failed.

A declared error is told with its fields, any other with the name of its class and its text. The traceback stays here,
unless the bus was asked to send it.
"""

import traceback
from collections.abc import Sequence
from itertools import islice
from typing import Final, cast

from cqrsbus.bus.codec import Codec
from cqrsbus.bus.context import Context
from cqrsbus.bus.declared_errors import DeclaredErrors
from cqrsbus.bus.handler import Handler
from cqrsbus.errors import Code, DeadlineExceededError, InvalidMessageError
from cqrsbus.links.port import Delivery
from cqrsbus.wire.envelope import DEFAULT_CONTENT_TYPE

MAX_ERROR_TEXT: Final = 1000
#: Characters of a traceback: of a longer one its end, which says where the error was raised.
MAX_TRACEBACK_TEXT: Final = 4000
#: Errors of a group that are told; its text says how many there are.
_MAX_IN_GROUP: Final = 5
#: Seconds by which a call may end before the message whose time it has: what travels is rounded at each hop.
_ROUNDING: Final = 0.01


def ran_out_of_time(error: Exception, context: Context) -> bool:
    """Whether the time that a call inside the handler, or several side by side, ran out of was its message's own."""
    if not isinstance(_first_of(error), DeadlineExceededError):
        return False
    left = context.remaining()
    return left is not None and left < _ROUNDING


def _first_of(error: Exception) -> Exception:
    """Of a group that has nothing but deadlines, one; of anything else, itself."""
    match error:
        case ExceptionGroup(exceptions=(first, *_)) if error.split(DeadlineExceededError)[1] is None:
            return _first_of(first)
        case _:
            return error


class FailureReport:
    """Tells the callers of one handler how it failed.

    Args:
        handler: Whose failures; of several event handlers any, since an event has no caller.
        codec: What the fields of errors are written with.
        tracebacks: Whether to send them.
    """

    def __init__(self, handler: Handler, codec: Codec, *, tracebacks: bool = False) -> None:
        self._declared = DeclaredErrors(handler.raises, str(handler))
        self._codec = codec
        self._tracebacks = tracebacks

    def is_answer(self, delivery: Delivery, error: Exception) -> bool:
        """Whether an error is one that the caller, who waits for it, is told as it is."""
        return delivery.wants_answer and self._declared.declared_class(error) is not None

    def raised(self, delivery: Delivery, error: Exception, context: Context) -> None:
        """Settle a delivery whose handler raised."""
        if ran_out_of_time(error, context):
            delivery.fail(Code.DEADLINE_EXCEEDED, {"reason": _out_of_time(_first_of(error)), "stage": "handler"})
            return
        cls = self._declared.declared_class(error)
        body = self._declared.encode(error, cls, self._codec) if cls is not None else b""
        fields = {"type": (cls or type(error)).__name__, "reason": _text_of(error)}
        if body and self._codec.content_type != DEFAULT_CONTENT_TYPE:
            fields["ct"] = self._codec.content_type
        if self._tracebacks:
            fields["traceback"] = _traceback_of(error)
        delivery.fail(Code.REMOTE_ERROR, fields, body)

    @staticmethod
    def unreadable(delivery: Delivery, error: InvalidMessageError) -> None:
        """Settle a delivery that does not fit what its handler declared."""
        entries = [dict(entry) for entry in error.entries]
        delivery.fail(Code.INVALID_MESSAGE, {"reason": error.reason[:MAX_ERROR_TEXT], "entries": entries})


def _out_of_time(nested: Exception) -> str:
    if not isinstance(nested, DeadlineExceededError) or nested.topic is None:
        return _text_of(nested)
    return _sendable(f"so was a call that its handler made, to {nested.topic!r}: {nested.reason}"[:MAX_ERROR_TEXT])


def _text_of(error: Exception) -> str:
    """What an exception says, as text that can be sent: whatever its class and its message are made of."""
    try:
        said = _with_what_is_in_it(error)[:MAX_ERROR_TEXT]
    except Exception:  # noqa: BLE001  # a class may do anything in __str__
        return "its text could not be made"
    return _sendable(said)


def _with_what_is_in_it(error: Exception) -> str:
    """The text of an error; a group's own does not say what went wrong in it."""
    if not isinstance(error, ExceptionGroup):
        return str(error)
    group = cast("ExceptionGroup[Exception]", error)
    inside = (
        ": ".join(filter(None, (type(each).__name__, _with_what_is_in_it(each))))
        for each in islice(group.exceptions, _MAX_IN_GROUP)
    )
    return f"{group}: {'; '.join(inside)}"


def _traceback_of(error: Exception) -> str:
    try:
        lines: Sequence[str] = traceback.format_exception(error)
    except Exception:  # noqa: BLE001  # it calls what an exception's class has overridden
        return "its traceback could not be made"
    return _sendable("".join(lines)[-MAX_TRACEBACK_TEXT:])


def _sendable(text: str) -> str:
    # A file name may hold bytes that are no text.
    return text.encode(errors="backslashreplace").decode()
