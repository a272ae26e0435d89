"""What a stream can do at once, and whether it may: the port's rules for all that does not wait.

A transport says how to take and to put. Nothing here waits: see waiting_stream.py.
"""

from collections.abc import Sequence
from typing import Protocol

import anyio

from cqrsbus.cause import caused_by
from cqrsbus.transports.port import CHUNK_BYTES, Sendable


class End(Protocol):
    """One end of a connection, as its transport knows it."""

    @property
    def emptied(self) -> bool:
        """To take again at once would most likely be in vain, and waiting ends if not."""
        ...

    def take(self, max_bytes: int, /) -> bytes | None:
        """Return what is there, ``b""`` at the end, None when there is nothing yet."""
        ...

    def put(self, data: Sendable, /) -> int:
        """Hand over what is taken at once and return how many bytes that was."""
        ...

    def put_many(self, buffers: Sequence[Sendable], /) -> int:
        """The same with several buffers, as if they were one."""
        ...


class NowaitStream:
    """The operations of a stream that do not wait, and what they may do.

    Args:
        end: What takes and puts.
    """

    __slots__ = ("closed", "end", "ended", "receiving", "sending", "torn")

    def __init__(self, end: End) -> None:
        self.end = end
        #: Whether it was closed, our sending side was ended, or a send was cancelled midway.
        self.closed = False
        self.ended = False
        self.torn = False
        #: Whether a task receives, or sends.
        self.receiving = False
        self.sending = False

    def receive(self, max_bytes: int = CHUNK_BYTES) -> bytes:
        """See `ByteStream.receive_nowait`."""
        if self.receiving:
            raise anyio.BusyResourceError("receiving from")
        chunk = self.taken(max_bytes)
        if chunk is None:
            raise anyio.WouldBlock
        return chunk

    def taken(self, max_bytes: int) -> bytes | None:
        """What is there for the one task that receives; None when there is nothing yet."""
        if self.closed:
            raise anyio.ClosedResourceError
        if max_bytes < 1:
            raise ValueError(f"max_bytes must be at least 1, not {max_bytes}")
        return self.end.take(max_bytes)

    def send(self, data: Sendable) -> int:
        """See `ByteStream.send_nowait`."""
        self.check_idle()
        return self.sent(data)

    def send_many(self, buffers: Sequence[Sendable]) -> int:
        """See `ByteStream.send_many_nowait`."""
        self.check_idle()
        self._check_sendable()
        return self.end.put_many(buffers)

    def sent(self, data: Sendable) -> int:
        """How much is taken at once from the one task that sends."""
        self._check_sendable()
        return self.end.put(data)

    def check_idle(self) -> None:
        """Refuse a second sender."""
        if self.sending:
            raise anyio.BusyResourceError("sending to")

    def _check_sendable(self) -> None:
        if self.closed or self.ended:
            raise anyio.ClosedResourceError
        if self.torn:
            reason = ConnectionAbortedError("an earlier send was cancelled midway")
            raise caused_by(anyio.BrokenResourceError(), reason)
