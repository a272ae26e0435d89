"""The errors that ERROR, REJECT and failed REPLY frames stand for.

Nothing a frame says is trusted: a code that is not known, or a field of another type, still makes an error that
can be raised and printed.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast, get_args

from cqrsbus.errors import (
    AuthError,
    BusError,
    Code,
    ConnectError,
    ConnectionLostError,
    DeadlineExceededError,
    HandlerLostError,
    InvalidMessageError,
    InvalidTopicError,
    NoHandlerError,
    PayloadTooLargeError,
    PermissionDeniedError,
    ProtocolError,
    QueueFullError,
    RemoteError,
    Stage,
    TopologyError,
)
from cqrsbus.wire.envelope import DEFAULT_CONTENT_TYPE
from cqrsbus.wire.frames import Frame
from cqrsbus.wire.header import Fields, decode_header
from cqrsbus.wire.stamp import sender_of

#: Codes that a class other than ProtocolError speaks for.
_CLASS_OF_CODE: Final[dict[Code, type[BusError]]] = {
    Code.AUTH_FAILED: AuthError,
    Code.TOO_MANY_CONNECTIONS: ConnectError,
    Code.UNSUPPORTED: ConnectError,
    Code.SHUTTING_DOWN: ConnectionLostError,
    Code.HEARTBEAT_LOST: ConnectionLostError,
    Code.SLOW_CONSUMER: ConnectionLostError,
    Code.NO_HANDLER: NoHandlerError,
    Code.PERMISSION_DENIED: PermissionDeniedError,
    Code.INVALID_TOPIC: InvalidTopicError,
    Code.PAYLOAD_TOO_LARGE: PayloadTooLargeError,
    Code.QUEUE_FULL: QueueFullError,
    Code.STORE_FULL: QueueFullError,
    Code.TOPOLOGY: TopologyError,
    Code.HANDLER_LOST: HandlerLostError,
    Code.CANCELLED: HandlerLostError,
}


def error_in(frame: Frame, *, topic: str | None = None) -> BusError:
    """Rebuild the error that a REJECT, ERROR or failed REPLY frame describes.

    Args:
        frame: The frame; a code that is not known becomes a ProtocolError that says so.
        topic: The topic of the call that failed.

    Raises:
        ProtocolError: Its header is malformed.
    """
    fields = decode_header(frame.header)
    reason = str(fields.get("reason", ""))
    if frame.detail == Code.REMOTE_ERROR:
        return _remote_error(frame, fields, reason, topic)
    if frame.detail == Code.INVALID_MESSAGE:
        return InvalidMessageError(reason, topic=topic, entries=_entries(fields.get("entries")))
    try:
        known = Code(frame.detail)
    except ValueError:
        return ProtocolError(f"unknown error code {frame.detail}: {reason}", code=Code.INTERNAL, topic=topic)
    if known is Code.DEADLINE_EXCEEDED:
        return DeadlineExceededError(reason, stage=_stage(fields.get("stage")), topic=topic)
    if known in _CLASS_OF_CODE:
        return _CLASS_OF_CODE[known](reason, topic=topic)
    return ProtocolError(reason, code=known, topic=topic)


def _remote_error(frame: Frame, fields: Fields, reason: str, topic: str | None) -> RemoteError:
    traceback = fields.get("traceback")
    return RemoteError(
        str(fields.get("type", "Exception")),
        reason,
        topic=topic,
        service=sender_of(frame.stamp),
        traceback=traceback if isinstance(traceback, str) else None,
        content_type=str(fields.get("ct", DEFAULT_CONTENT_TYPE)),
        body=frame.body,
    )


def fields_of(error: BusError) -> dict[str, str]:
    """What the header map of a REJECT or NACK says of an error, beside the code in the frame's head."""
    fields = {"reason": error.reason}
    if isinstance(error, DeadlineExceededError):
        fields["stage"] = error.stage
    return fields


def _stage(said: object) -> Stage:
    return cast("Stage", said) if said in get_args(Stage) else "reply"


def _entries(said: object) -> list[Mapping[str, Any]]:
    """Take what a peer says are findings for just that, whatever it is."""
    entries = cast("Sequence[object]", said) if isinstance(said, Sequence) else ()
    return [entry for entry in entries if isinstance(entry, Mapping)]
