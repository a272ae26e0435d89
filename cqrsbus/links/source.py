"""What all messages of one DELIVER frame have in common."""

from cqrsbus.links.channel import Channel
from cqrsbus.wire.envelope import DEFAULT_CONTENT_TYPE, Envelope, decode_envelope, is_short
from cqrsbus.wire.frames import Frame
from cqrsbus.wire.origin import numbered
from cqrsbus.wire.stamp import sender_of


class Source:
    """Where the messages of one frame come from. It keeps nothing of their bodies.

    Args:
        frame: The DELIVER frame.
        channel: The connection it came over.
        deadline: When they are no longer worth starting, on anyio's clock.
    """

    __slots__ = ("_content_type", "_envelope", "_header", "_stamp", "channel", "deadline", "outbox", "topic")

    def __init__(self, frame: Frame, channel: Channel, deadline: float | None) -> None:
        self.topic = frame.topic
        self.channel = channel
        #: Where they are answered.
        self.outbox = channel.outbox
        self.deadline = deadline
        self._header = frame.header
        self._content_type = DEFAULT_CONTENT_TYPE if is_short(self._header) else ""
        self._envelope: Envelope | None = None
        self._stamp = frame.stamp

    def envelope_at(self, place: int) -> Envelope:
        """What one of the messages says of itself: the same as the first, but for the id.

        Raises:
            ProtocolError: It says nothing intelligible.
        """
        return numbered(self._first, place)

    @property
    def content_type(self) -> str:
        """What the bodies are.

        Raises:
            ProtocolError: The envelope does not tell.
        """
        return self._content_type or self._first.content_type

    @property
    def sender(self) -> str:
        """The service that sent them, by the broker's stamp; empty if that says nothing intelligible."""
        return sender_of(self._stamp)

    @property
    def _first(self) -> Envelope:
        if self._envelope is None:
            self._envelope = decode_envelope(self._header)
        return self._envelope
