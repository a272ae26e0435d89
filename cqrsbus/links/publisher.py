"""Events: a message is put to be published, as long as that takes no waiting. Nothing here waits."""

from typing import Final

from cqrsbus.links.line import Line
from cqrsbus.links.outgoing import Outgoing
from cqrsbus.links.requests import request_frame
from cqrsbus.links.window import Window
from cqrsbus.transports.send_buffer import BATCH_MESSAGES
from cqrsbus.wire.frames import HEAD_SIZE, Kind
from cqrsbus.wire.origin import Origin

#: How many events may be put before other tasks get a turn: as many as make a batch, so that what is sent when it ends
#: is one, with none left over.
EVENTS_PER_TURN: Final = BATCH_MESSAGES
_PUBLISH: Final = Kind.PUBLISH.value


class Publisher:
    """Puts events on a line.

    Args:
        line: Whether there is a connection.
    """

    __slots__ = ("_line", "_since_turn", "window")

    def __init__(self, line: Line) -> None:
        self._line = line
        #: How much may be under way.
        self.window = Window()
        self._since_turn = 0

    @property
    def is_open(self) -> bool:
        """Whether an event may be put now: now and then it says no to let other tasks run."""
        return self._line.outbox is not None and self._since_turn < EVENTS_PER_TURN and self.window.is_open

    def begin_turn(self) -> None:
        """Other tasks have had their turn."""
        self._since_turn = 0

    def put(self, message: Outgoing) -> None:
        """Put an event, for which there is to be a connection, and room.

        Raises:
            PayloadTooLargeError: It does not fit into a frame.
        """
        if message.origin is not None:
            self.put_numbered(message.topic, message.origin, message.number, message.body)
            return
        self._since_turn += 1
        line, outbox = self._line, self._line.outbox
        assert outbox is not None
        frame = request_frame(_PUBLISH, 0, message)
        line.check_size(frame.size, frame.header_size, message.topic)
        self.window.use(frame.size)
        outbox.put_soon(frame)

    def put_numbered(self, topic: str, origin: Origin, number: int, body: bytes) -> None:
        """The same for what has no id of its own: most events, for which no :class:`Outgoing` need be made.

        Args:
            topic: A valid topic.
            origin: What it has in common with those put before and after it.
            number: Its number.
            body: The encoded event.

        Raises:
            PayloadTooLargeError: It does not fit into a frame.
        """
        self._since_turn += 1
        line, outbox = self._line, self._line.outbox
        assert outbox is not None
        size = HEAD_SIZE + len(topic) + origin.header_size + len(body)
        line.check_size(size, origin.header_size, topic)
        self.window.use(size)
        outbox.publish(topic, origin, number, body)
