"""What is said of a delivery that failed, cut to what the broker takes.

What is long is given up in turn: the traceback, the findings, the reason; each is halved until the header fits. Fields
of an error have no half: those that do not fit into the frame are left out, and its caller gets a RemoteError.
"""

import logging
from collections.abc import Mapping
from typing import Any

from cqrsbus.links.channel import Terms
from cqrsbus.wire.frames import Frame
from cqrsbus.wire.header import encode_header

log = logging.getLogger(__name__)


def failure_frame(settlement: Frame, fields: Mapping[str, Any], body: bytes, terms: Terms) -> Frame:
    """Fill a frame that settles a delivery with what went wrong.

    Args:
        settlement: The frame, without header and body.
        fields: The header.
        body: The fields of the handler's error, or nothing.
        terms: What the broker takes.
    """
    header = _fitting(fields, terms.max_header)
    if body and settlement.size + len(header) + len(body) > terms.max_frame:
        log.warning(
            "the caller gets a RemoteError, for the fields of %s have %d bytes; the broker takes %d",
            fields.get("type"),
            len(body),
            terms.max_frame,
        )
        body = b""
    settlement.tail, settlement.header_size = header + body, len(header)
    return settlement


def _fitting(fields: Mapping[str, Any], limit: int) -> bytes:
    header = encode_header(fields)
    cut = dict(fields)
    while len(header) > limit and (longest := next((name for name in _IN_TURN if cut.get(name)), None)):
        value = cut[longest]
        half = len(value) // 2
        # The end of a traceback says where the error was raised.
        cut[longest] = value[len(value) - half :] if longest == "traceback" else value[:half]
        header = encode_header(cut)
    return header


_IN_TURN = ("traceback", "entries", "reason")
