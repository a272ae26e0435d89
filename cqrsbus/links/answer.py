"""What a handler answered."""

from cqrsbus.wire.envelope import DEFAULT_CONTENT_TYPE
from cqrsbus.wire.frames import Frame
from cqrsbus.wire.header import decode_header


class Answer:
    """What a handler answered.

    Args:
        content_type: What the body is.
        body: The encoded answer; empty for a command.
    """

    __slots__ = ("body", "content_type")

    def __init__(self, content_type: str, body: bytes) -> None:
        self.content_type = content_type
        self.body = body


def answer_in(reply: Frame) -> Answer:
    """The answer in a REPLY.

    Raises:
        ProtocolError: BAD_FRAME, its header is none.
    """
    if not reply.header_size:
        return Answer(DEFAULT_CONTENT_TYPE, reply.body)
    content_type = decode_header(reply.header).get("ct", DEFAULT_CONTENT_TYPE)
    return Answer(str(content_type), reply.body)


def nothing_in(_confirmation: Frame) -> None:
    """What a confirmation says, beside that it is one."""
