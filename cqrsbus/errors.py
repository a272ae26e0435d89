"""Every error cqrsbus raises on purpose, and the stable code of each.

The tree::

    BusError
     ├── ConnectError                 no broker was reached, or what answered is not one
     │    ├── AuthError               the broker did not accept the credentials
     │    └── ListenError             the address cannot be listened on
     ├── ConnectionLostError          the connection went away while an answer was awaited
     │    ├── DeliveryUnknownError    ... and it was a command: it may or may not have arrived
     │    └── HandlerLostError        ... and it was the handler's connection, not this one
     ├── ProtocolError                the peer broke the protocol
     ├── PermissionDeniedError        the rules do not allow this verb on this topic
     ├── NoHandlerError               nobody is connected who handles the topic
     ├── DeadlineExceededError        no answer in time (also a TimeoutError)
     ├── QueueFullError               a bounded queue or table is full
     ├── QuorumError                  too few instances answered
     ├── PayloadTooLargeError         the message is larger than the frame limit
     ├── TopologyError                handlers and topics do not fit together
     │    └── InvalidTopicError       the topic or pattern is malformed (also a ValueError)
     ├── InvalidMessageError          the message does not fit the handler's type
     └── RemoteError                  the handler raised

Codes are part of the protocol (docs/protocol.md): they never change their meaning, and new ones are only
added. An error names what was wrong in ``reason`` and where in ``topic``, and builds its own text.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, ClassVar, Literal, TypeAlias

#: Where a call's time was lost.
Stage: TypeAlias = Literal["connect", "queue", "handler", "reply"]


class Code(IntEnum):
    """The stable code of an error, as it travels in a frame's head."""

    # 1xx: said in an ERROR frame; the connection is over.
    BAD_FRAME = 100
    UNSUPPORTED = 101
    UNEXPECTED_FRAME = 102
    FRAME_TOO_LARGE = 103
    HANDSHAKE_TIMEOUT = 104
    TOO_MANY_CONNECTIONS = 105
    AUTH_FAILED = 106
    HEARTBEAT_LOST = 107
    SLOW_CONSUMER = 108
    WINDOW_EXCEEDED = 109
    SHUTTING_DOWN = 110
    INTERNAL = 111

    # 2xx: said in a REJECT frame; this request is refused, the connection lives on.
    NO_HANDLER = 200
    DEADLINE_EXCEEDED = 201
    PERMISSION_DENIED = 202
    INVALID_TOPIC = 203
    PAYLOAD_TOO_LARGE = 204
    QUEUE_FULL = 205
    TOPOLOGY = 206
    STORE_FULL = 207
    CANCELLED = 208
    HANDLER_LOST = 209

    # 3xx: said in a REPLY frame; the handler answered with an error.
    REMOTE_ERROR = 300
    INVALID_MESSAGE = 301

    # 4xx: never on the wire; the client's own finding.
    CONNECT_FAILED = 400
    CONNECTION_LOST = 401
    DELIVERY_UNKNOWN = 402
    QUORUM_NOT_REACHED = 403


class BusError(Exception):
    """The base of every error that cqrsbus raises on purpose.

    Args:
        reason: What was wrong and what to do about it, in one sentence.
        topic: The topic of the call or handler concerned, if there is one.
    """

    code: ClassVar[Code] = Code.INTERNAL
    #: What happened, in short; empty where each reason says it by itself.
    summary: str = "the bus failed"

    def __init__(self, reason: str = "", *, topic: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.topic = topic

    def __str__(self) -> str:
        what = f"{self.summary} for {self.topic!r}" if self.topic else self.summary
        return ": ".join(part for part in (what, self.reason) if part)


class ConnectError(BusError):
    """No broker was reached, what answered is not one, or it did not confirm every handler in time."""

    code = Code.CONNECT_FAILED
    summary = ""


class AuthError(ConnectError):
    """The broker did not accept this client's credentials."""

    code = Code.AUTH_FAILED
    summary = "the broker did not accept the credentials"


class ListenError(ConnectError):
    """A broker cannot listen on this address: it is in use, or not ours to use."""


class ConnectionLostError(BusError):
    """The connection to the broker, or the broker's to the handler, went away before the answer came."""

    code = Code.CONNECTION_LOST
    summary = "the connection was lost"


class DeliveryUnknownError(ConnectionLostError):
    """A command left this process but its confirmation never came: it may or may not have arrived.

    Sending it again may have it handled twice, also with the same ``message_id``: the broker does not compare ids. A
    handler that remembers which ids it has handled makes it safe.
    """

    code = Code.DELIVERY_UNKNOWN
    summary = "the command may or may not have arrived"


class HandlerLostError(ConnectionLostError):
    """The broker's connection to the handler went away before the answer came; this one lives on."""

    code = Code.HANDLER_LOST
    summary = "the handler was lost"


class ProtocolError(BusError):
    """The peer broke the protocol; the connection is over.

    Args:
        reason: What the peer did.
        code: The stable code that is said to the peer.
    """

    summary = "protocol error"

    def __init__(self, reason: str = "", *, code: Code = Code.BAD_FRAME, topic: str | None = None) -> None:
        super().__init__(reason, topic=topic)
        self.code: Code = code  # type: ignore[misc]  # one class, many codes: each instance has its own

    def __str__(self) -> str:
        return f"{super().__str__()} ({self.code.name})"


class PermissionDeniedError(BusError):
    """The broker's rules do not allow this verb on this topic."""

    code = Code.PERMISSION_DENIED
    summary = "permission denied"


class NoHandlerError(BusError):
    """Nobody is connected who handles this topic."""

    code = Code.NO_HANDLER
    summary = "no handler is connected"


class DeadlineExceededError(BusError, TimeoutError):
    """No answer came in time; the work was never started or has been told to stop.

    Args:
        reason: What was waited for.
        stage: Where the time was lost: ``"connect"`` (it was never sent), ``"queue"`` (it waited in the broker, since
            no handler had room for it), ``"handler"`` (a handler's process had it and was told to stop; what it had
            not started it never will), ``"reply"`` (nothing was heard in time).
    """

    code = Code.DEADLINE_EXCEEDED
    summary = "deadline exceeded"

    def __init__(self, reason: str = "", *, stage: Stage = "reply", topic: str | None = None) -> None:
        super().__init__(reason, topic=topic)
        self.stage: Stage = stage


class QueueFullError(BusError):
    """A bounded queue or table is full; try again later."""

    code = Code.QUEUE_FULL
    summary = "queue full"


class QuorumError(BusError):
    """Of all instances that were asked, too few answered."""

    code = Code.QUORUM_NOT_REACHED
    summary = "the quorum was not reached"


class PayloadTooLargeError(BusError):
    """The message does not fit into one frame."""

    code = Code.PAYLOAD_TOO_LARGE
    summary = "message too large"


class TopologyError(BusError):
    """Handlers and topics do not fit together: two owners of a command, two handlers of a query, ..."""

    code = Code.TOPOLOGY
    summary = "topology error"


class InvalidTopicError(TopologyError, ValueError):
    """The topic or pattern is malformed."""

    code = Code.INVALID_TOPIC
    summary = "invalid topic"


class InvalidMessageError(BusError):
    """The message does not fit the type that the handler, or the caller of a query, declared.

    Args:
        reason: A summary in one sentence.
        entries: At most 20 findings, each with ``loc``, ``msg`` and ``type``; never the input itself.
    """

    code = Code.INVALID_MESSAGE
    summary = "invalid message"

    def __init__(
        self,
        reason: str = "",
        *,
        topic: str | None = None,
        entries: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(reason, topic=topic)
        self.entries = tuple(entries)


class RemoteError(BusError):
    """The handler raised.

    Args:
        type: The name of the class the handler raised.
        message: Its text.
        service: The service whose handler it was, as the broker knows it; empty if it was not said.
        correlation_id: The conversation that the message belonged to; empty if it is not known.
        traceback: Where it was raised, as text; None unless the handler's bus was told to send it.
        content_type: What ``body`` is.
        body: The fields of the handler's error, encoded; empty if none were sent.
    """

    code = Code.REMOTE_ERROR
    summary = "the handler failed"

    def __init__(
        self,
        type: str = "Exception",
        message: str = "",
        *,
        topic: str | None = None,
        service: str = "",
        correlation_id: str = "",
        traceback: str | None = None,
        content_type: str = "",
        body: bytes = b"",
    ) -> None:
        super().__init__(f"{type}: {message}" if message else type, topic=topic)
        self.type = type
        self.message = message
        self.service = service
        self.correlation_id = correlation_id
        self.traceback = traceback
        self.content_type = content_type
        self.body = body
        if service:
            self.summary = f"the handler in {service!r} failed"
        if traceback:
            self.add_note(f"Where the handler raised it:\n{traceback}")
