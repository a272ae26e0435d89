"""An outbox for channels without a send buffer: each message is a frame of its own, and is put at once."""

from typing import TYPE_CHECKING

from cqrsbus.wire.frames import Frame, Kind
from cqrsbus.wire.origin import Origin

if TYPE_CHECKING:
    from cqrsbus.links.channel import Channel


class UnbufferedOutbox:
    """Does what an :class:`~cqrsbus.transports.outbox.Outbox` does, where nothing waits to be sent with anything else.

    Args:
        channel: Where the frames are put.
    """

    def __init__(self, channel: "Channel") -> None:
        self._channel = channel

    def has_room(self) -> bool:
        """See :meth:`Channel.has_room`."""
        return self._channel.has_room()

    def put_soon(self, frame: Frame) -> None:
        """Put a frame."""
        self._channel.put(frame)

    def put_now(self, frame: Frame) -> None:
        """Put a frame."""
        self._channel.put(frame)

    def put_portion(self, frame: Frame, enough: int) -> None:
        """Put a frame."""
        self._channel.put(frame)

    def publish(self, topic: str, origin: Origin, number: int, body: bytes) -> None:
        """Put an event."""
        self._channel.put(Frame.of(Kind.PUBLISH, topic=topic.encode(), header=origin.header(number), body=body))

    def ask(self, topic: str, origin: Origin, number: int, body: bytes, id: int, ttl: int, enough: int) -> None:
        """Put a query."""
        header = origin.header(number)
        self._channel.put(Frame.of(Kind.ASK, topic=topic.encode(), header=header, body=body, id=id, ttl=ttl))

    def answer(self, id: int, header: bytes, body: bytes, now: bool) -> None:
        """Put an answer."""
        self._channel.put(Frame.of(Kind.REPLY, id=id, header=header, body=body))
