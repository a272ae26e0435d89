"""What every message says of itself: the header map of SEND, ASK, PUBLISH and so of DELIVER.

====== ============= ===============================================================
field  meaning       rule
====== ============= ===============================================================
id     message       required, 1 to 128 characters, unique per message
corr   correlation   the id of the conversation; absent: the message's own id
cause  causation     the id of the message whose handling caused this one; may be absent
ct     content type  absent: ``application/msgpack``
hdr    headers       the application's own text pairs; may be absent
====== ============= ===============================================================
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from cqrsbus.errors import ProtocolError
from cqrsbus.wire.header import Fields, Value, decode_header, encode_header, refuse_unknown, text

MAX_ID_LENGTH: Final = 128
MAX_CONTENT_TYPE_LENGTH: Final = 64
DEFAULT_CONTENT_TYPE: Final = "application/msgpack"
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Envelope(NamedTuple):
    """A message's description of itself.

    Args:
        message_id: Unique per message, 1 to 128 characters.
        correlation_id: The conversation it belongs to; empty: it starts one.
        causation_id: The message whose handling caused it; empty: none.
        content_type: What the body is.
        headers: The application's own pairs.
    """

    message_id: str
    correlation_id: str = ""
    causation_id: str = ""
    content_type: str = DEFAULT_CONTENT_TYPE
    headers: Mapping[str, str] = NO_HEADERS


def encode_envelope(envelope: Envelope) -> bytes:
    """Pack an envelope, leaving out what is at its default."""
    message_id, correlation_id, causation_id, content_type, headers = envelope
    says_more = correlation_id or causation_id or headers or content_type != DEFAULT_CONTENT_TYPE
    if not says_more and message_id.isascii() and (head := _SHORT.get(len(message_id))) is not None:
        return head + message_id.encode()
    fields: dict[str, Value] = {"id": message_id}
    if correlation_id:
        fields["corr"] = correlation_id
    if causation_id:
        fields["cause"] = causation_id
    if content_type != DEFAULT_CONTENT_TYPE:
        fields["ct"] = content_type
    if headers:
        fields["hdr"] = dict(headers)
    return encode_header(fields)


def decode_envelope(data: bytes) -> Envelope:
    """Unpack and check an envelope.

    Raises:
        ProtocolError: BAD_FRAME, a field is missing, unknown, of the wrong type or too long.
    """
    if is_short(data):
        return Envelope(str(data[SHORT_HEAD:], "ascii"))
    fields = decode_header(data)
    refuse_unknown(fields, _KNOWN)
    message_id = text(fields, "id", limit=MAX_ID_LENGTH)
    if not message_id:
        raise ProtocolError("header field 'id' is empty")
    if len(fields) == 1:
        return Envelope(message_id)
    return Envelope(
        message_id,
        text(fields, "corr", limit=MAX_ID_LENGTH, default=""),
        text(fields, "cause", limit=MAX_ID_LENGTH, default=""),
        text(fields, "ct", limit=MAX_CONTENT_TYPE_LENGTH, default=DEFAULT_CONTENT_TYPE),
        _headers(fields),
    )


def check_envelope(data: bytes) -> None:
    """Check an envelope that is only passed on; see :func:`decode_envelope`."""
    if not is_short(data):
        decode_envelope(data)


def id_in(data: bytes) -> str:
    """Check an envelope that is only passed on, and return the message's id; see :func:`decode_envelope`."""
    return str(data[SHORT_HEAD:], "ascii") if is_short(data) else decode_envelope(data).message_id


def is_short(data: bytes) -> bool:
    """Whether an envelope is well formed and says no more than a message's id."""
    return SHORT_HEADERS.get(data[:SHORT_HEAD]) == len(data) and data[SHORT_HEAD:].isascii()


_KNOWN: Final = frozenset({"id", "corr", "cause", "ct", "hdr"})

# The usual header, that of a message which says no more than its id, is recognised without decoding: a map of one pair
# (81), the key "id" (a2 69 64), and a text of 1 to 31 bytes (a0 plus its length). This is on the hot path of every
# process a message goes through.
_MAX_SHORT: Final = 31
_SHORT: Final = {size: bytes((0x81, 0xA2, *b"id", 0xA0 | size)) for size in range(1, _MAX_SHORT + 1)}
SHORT_HEAD: Final = 5
#: What such a header begins with, and how many bytes it has. Its text is still to be looked at: it is all letters.
SHORT_HEADERS: Final = {head: SHORT_HEAD + size for size, head in _SHORT.items()}


def _headers(fields: Fields) -> Mapping[str, str]:
    headers = fields.get("hdr", NO_HEADERS)
    if not isinstance(headers, Mapping) or not all(isinstance(value, str) for value in headers.values()):
        raise ProtocolError("header field 'hdr' is not a map of text to text")
    return headers  # type: ignore[return-value]  # just checked, value by value
