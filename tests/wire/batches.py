"""Batches as another client may send them."""

from struct import pack

from cqrsbus.wire.envelope import Envelope, encode_envelope
from cqrsbus.wire.frames import Flag, Frame
from cqrsbus.wire.origin import DIGITS


def numbered_id(number: int, begins: str = "m") -> str:
    """The id of a message that may stand in a batch."""
    return f"{begins}{number:0{DIGITS}x}"


def numbered_header(number: int, **said: object) -> bytes:
    """The envelope of such a message."""
    return encode_envelope(Envelope(numbered_id(number), **said))  # type: ignore[arg-type]  # a test says what it likes


def batch(*frames: Frame) -> Frame:
    """What some frames say in one, even of a single one; all that is numbered is to be numbered without a gap."""
    bodies = [frame.body for frame in frames]
    lengths = pack(f"!{len(bodies)}I", *map(len, bodies))
    first = frames[0]
    return Frame.of(
        first.kind,
        topic=first.topic.encode(),
        header=first.header,
        body=b"".join((lengths, *bodies)),
        flags=first.flags | Flag.BATCH,
        detail=len(frames),
        id=first.id,
        ttl=first.ttl,
    )
