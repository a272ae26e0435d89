"""Queries that came in one frame: each goes its own way, and those that go the same way go in one frame again."""

from cqrsbus.wire.envelope import Envelope, decode_envelope, encode_envelope
from cqrsbus.wire.frames import Frame
from cqrsbus.wire.origin import numbered


class QueryBatch:
    """What all queries of one frame have in common. It keeps nothing of their bodies.

    Args:
        frame: The ASK frame, a checked batch.
    """

    __slots__ = ("_envelope", "header", "shared_size", "topic")

    def __init__(self, frame: Frame) -> None:
        self.topic = frame.topic_bytes
        #: What the first says of itself.
        self.header = frame.header
        #: Bytes that each query has beside its body.
        self.shared_size = frame.topic_size + frame.header_size
        self._envelope: Envelope | None = None

    def header_at(self, place: int) -> bytes:
        """What one of the queries says of itself, encoded."""
        if not place:
            return self.header
        if self._envelope is None:
            self._envelope = decode_envelope(self.header)
        return encode_envelope(numbered(self._envelope, place))


class QueryPart:
    """One of these queries.

    Args:
        batch: Where it came.
        place: How many queries stand before it there.
        body: What it says.
    """

    __slots__ = ("batch", "body", "place")

    def __init__(self, batch: QueryBatch, place: int, body: bytes) -> None:
        self.batch = batch
        self.place = place
        self.body = body

    @property
    def size(self) -> int:
        """Bytes of topic, header and body."""
        return self.batch.shared_size + len(self.body)

    def follows(self, other: "QueryPart | None") -> bool:
        """Whether it came right behind another."""
        return other is not None and other.batch is self.batch and other.place + 1 == self.place
