"""Whether a link is connected, as those see it who want to use it.

The rules:

1. ``channel`` is set only while connected with every subscription in place: whoever finds it set can use it.
2. Whoever waits for it is woken by every change, and looks again: see line_waits.py.

Nothing here waits itself.
"""

import logging

import anyio

from cqrsbus.errors import PayloadTooLargeError
from cqrsbus.links.channel import AnyOutbox, Channel
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
        #: What every message asks of the channel, while there is one: to ask the channel itself takes longer.
        self.max_frame = 0
        self.max_header = 0
        self.outbox: AnyOutbox | None = None
        self.status = LinkStatus.CONNECTING
        #: Why it is not connected; empty if it is, or has not tried yet.
        self.last_error = ""
        #: Is set by the next change.
        self.changed = anyio.Event()

    def connect(self, channel: Channel) -> None:
        """It is connected, with every subscription in place."""
        self.channel = channel
        self.max_frame, self.max_header = channel.terms.max_frame, channel.terms.max_header
        self.outbox = channel.outbox
        self.last_error = ""
        self.set_status(LinkStatus.CONNECTED)
        log.info("connected to %s", self.name)

    def disconnect(self) -> None:
        """It is no longer."""
        self.channel = self.outbox = None

    def check_size(self, size: int, header_size: int, topic: str) -> None:
        """Refuse what the broker would, while there is a connection.

        Args:
            size: Bytes of the frame.
            header_size: Those of its header.
            topic: What it is about, for the error.

        Raises:
            PayloadTooLargeError: It is larger than the broker takes.
        """
        if size > self.max_frame:
            raise PayloadTooLargeError(
                f"with its head it has {size} bytes; the broker takes {self.max_frame}", topic=topic
            )
        if header_size > self.max_header:
            raise PayloadTooLargeError(
                f"its headers have {header_size} bytes; the broker takes {self.max_header}", topic=topic
            )

    def note(self, error: str) -> None:
        """Remember, and log if it is news, why it is not connected."""
        if error != self.last_error:
            log.warning("not connected to %s: %s", self.name, error)
        self.last_error = error

    def set_status(self, status: LinkStatus) -> None:
        """Tell whoever waits how it is doing now."""
        self.status = status
        self.changed.set()
        self.changed = anyio.Event()
