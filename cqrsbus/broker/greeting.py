"""What is said when a client connects: its HELLO and our WELCOME."""

import re
import secrets
from typing import NamedTuple

from cqrsbus.broker.limits import BrokerLimits
from cqrsbus.errors import ProtocolError
from cqrsbus.version import PRODUCT
from cqrsbus.wire.frames import Frame, Kind
from cqrsbus.wire.header import Fields, decode_header, encode_header, refuse_unknown, text

MAX_NAME = 64
#: Names are written to logs, where a line break or a control character could forge or hide a line.
_NAME = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_NAME}}}")
_KNOWN = frozenset({"service", "instance", "product", "auth"})

#: What an HTTP client is told that has come to the wrong door.
NOT_HTTP = (
    b"HTTP/1.1 400 Bad Request\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Connection: close\r\n"
    b"\r\n"
    b"This is a cqrsbus broker, not an HTTP server. Connect with cqrsbus.Bus(...).\n"
)


class Hello(NamedTuple):
    """Who connects."""

    service: str
    instance: str
    product: str


def read_hello(frame: Frame) -> Hello:
    """Take a HELLO apart.

    Raises:
        ProtocolError: BAD_FRAME, a field is missing, unknown or malformed.
    """
    fields = decode_header(frame.header)
    refuse_unknown(fields, _KNOWN)
    product = text(fields, "product", limit=MAX_NAME, default="")
    return Hello(_name(fields, "service"), _name(fields, "instance"), product)


def _name(fields: Fields, key: str) -> str:
    name = text(fields, key, limit=MAX_NAME)
    if not _NAME.fullmatch(name):
        raise ProtocolError(f"header field {key!r} is not made of letters, digits, '_', '.' and '-'")
    return name


def welcome(limits: BrokerLimits, number: int, broker_id: str) -> Frame:
    """The answer to an accepted HELLO."""
    return Frame.of(
        Kind.WELCOME,
        header=encode_header(
            {
                "broker": broker_id,
                "session": number,
                "product": PRODUCT,
                "heartbeat": limits.heartbeat,
                "max_frame": limits.max_frame,
                "max_header": limits.max_header,
                "max_subscriptions": limits.routing.max_subscriptions,
                "max_open_requests": limits.routing.max_open_requests,
                "publish_window": limits.routing.publish_window,
                "features": [],
            }
        ),
    )


def new_broker_id() -> str:
    """A name for one run of a broker, so that clients can tell a restart from a hiccup."""
    return secrets.token_hex(8)
