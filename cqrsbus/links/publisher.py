"""Events: a message is put to be published, as long as that takes no waiting. Nothing here waits."""

from typing import Final

from cqrsbus.links.line import Line
from cqrsbus.links.outgoing import Outgoing
from cqrsbus.links.requests import request_frame
from cqrsbus.links.window import Window
from cqrsbus.transports.send_buffer import BATCH_MESSAGES
from cqrsbus.wire.frames import HEAD_SIZE, Kind

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

    def publish_nowait(self, message: Outgoing) -> bool:
        """See :meth:`Link.publish_nowait`."""
        if self._line.channel is None or self._since_turn >= EVENTS_PER_TURN or not self.window.is_open:
            return False
        self.put(message)
        return True

    def begin_turn(self) -> None:
        """Other tasks have had their turn."""
        self._since_turn = 0

    def put(self, message: Outgoing) -> None:
        """Put an event, for which there is to be a connection, and room.

        Raises:
            PayloadTooLargeError: It does not fit into a frame.
        """
        self._since_turn += 1
        line, topic, origin, body = self._line, message.topic, message.origin, message.body
        channel, publish = line.channel, line.publish
        assert channel is not None
        assert publish is not None
        if origin is None:
            frame = request_frame(_PUBLISH, 0, message)
            line.check_size(frame.size, frame.header_size, topic)
            self.window.use(frame.size)
            channel.put(frame)
            return
        size = HEAD_SIZE + len(topic) + origin.header_size + len(body)
        line.check_size(size, origin.header_size, topic)
        self.window.use(size)
        publish(topic, origin, message.number, body)
