"""Batches as another client may send them."""

from cqrsbus.wire.batch import RECORD
from cqrsbus.wire.frames import Flag, Frame, Kind


def batch(*frames: Frame) -> Frame:
    """The events of some frames in one, even of a single one."""
    written = b"".join(
        RECORD.pack(2 + frame.header_size + len(frame.body), frame.header_size) + frame.header + frame.body
        for frame in frames
    )
    topic = frames[0].topic.encode()
    return Frame.of(Kind.PUBLISH, topic=topic, body=written, flags=Flag.BATCH, detail=len(frames), ttl=frames[0].ttl)
