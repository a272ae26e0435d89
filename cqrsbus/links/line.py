"""Whether a link is connected, as those see it who want to use it.

The rules:

1. ``channel`` is set only while connected with every subscription in place: whoever finds it set can use it.
2. Whoever waits for it is woken by every change, and looks again.
"""

import logging

import anyio

from cqrsbus.errors import ConnectionLostError, DeadlineExceededError
from cqrsbus.links.channel import Channel
from cqrsbus.links.port import LinkStatus

log = logging.getLogger(__name__)


class Line:
    """How a link is doing.

    Args:
        name: What the broker is called in messages: its URL.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.channel: Channel | None = None
        self.status = LinkStatus.CONNECTING
        #: Why it is not connected; empty if it is, or has not tried yet.
        self.last_error = ""
        self._changed = anyio.Event()

    def connect(self, channel: Channel) -> None:
        """It is connected, with every subscription in place."""
        self.channel = channel
        self.last_error = ""
        self.set_status(LinkStatus.CONNECTED)
        log.info("connected to %s", self.name)

    def note(self, error: str) -> None:
        """Remember, and log if it is news, why it is not connected."""
        if error != self.last_error:
            log.warning("not connected to %s: %s", self.name, error)
        self.last_error = error

    def set_status(self, status: LinkStatus) -> None:
        """Tell whoever waits how it is doing now."""
        self.status = status
        self._changed.set()
        self._changed = anyio.Event()

    async def connected(self, deadline: float, topic: str) -> Channel:
        """Wait until connected with every subscription in place.

        Args:
            deadline: Until when, on anyio's clock; infinity for no limit.
            topic: What for, for the text of errors.

        Raises:
            ConnectionLostError: It is closed, and will not be connected again.
            DeadlineExceededError: It was not connected in time.
        """
        while (channel := self.channel) is None:
            if self.status is LinkStatus.CLOSED:
                raise ConnectionLostError("the bus is closed", topic=topic)
            if anyio.current_time() >= deadline:
                why = f": {self.last_error}" if self.last_error else ""
                raise DeadlineExceededError(f"not connected to {self.name}{why}", stage="connect", topic=topic)
            changed = self._changed
            with anyio.move_on_at(deadline):
                await changed.wait()
        return channel
