"""A message on its way out, which says of itself only as much as is asked for."""

from cqrsbus.wire.envelope import Envelope, encode_envelope
from cqrsbus.wire.origin import Origin


class Outgoing:
    """A message on its way out.

    Args:
        topic: A valid topic.
        envelope: What it says of itself; None if its origin tells.
        body: The encoded message.
        origin: What it has in common with those sent before and after it, if it has a number.
        number: Its number.
    """

    __slots__ = ("_envelope", "body", "number", "origin", "topic")

    def __init__(
        self, topic: str, envelope: Envelope | None, body: bytes, origin: Origin | None = None, number: int = 0
    ) -> None:
        self.topic = topic
        self.body = body
        self.origin = origin
        self.number = number
        self._envelope = envelope

    @property
    def envelope(self) -> Envelope:
        """What it says of itself."""
        if self._envelope is None:
            assert self.origin is not None
            self._envelope = self.origin.envelope_of(self.number)
        return self._envelope

    def header(self) -> bytes:
        """The same, encoded."""
        return encode_envelope(self.envelope) if self.origin is None else self.origin.header(self.number)
