"""One direction of a memory stream: a bounded buffer between one writer and one reader, on one event loop.

Every wait is for a change, not for a state: whoever waits looks again afterwards. So a wake-up too many is harmless,
and each way of ending a wait (bytes, room, the other end's close, one's own) needs no signal of its own.
"""

import anyio

from cqrsbus.transports.port import Sendable

#: How much a sender may be ahead of its reader, in bytes.
PIPE_BYTES = 65536


class MemoryPipe:
    """A bounded buffer that the writer fills and the reader empties."""

    __slots__ = ("_buffer", "_changed", "reader_gone", "writer_done")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._changed: anyio.Event | None = None
        self.writer_done = False
        self.reader_gone = False

    def put(self, data: Sendable) -> int:
        """Take as much as there is room for and return how many bytes that was."""
        room = PIPE_BYTES - len(self._buffer)
        if not room:
            return 0
        with memoryview(data) as view, view.cast("B") as octets:
            taken = min(room, len(octets))
            self._buffer += octets[:taken]
        self.wake()
        return taken

    def take(self, max_bytes: int) -> bytes | None:
        """Return what is there, ``b""`` at the end, None when there is nothing yet."""
        if not self._buffer:
            return b"" if self.writer_done else None
        if len(self._buffer) <= max_bytes:
            chunk = bytes(self._buffer)
            self._buffer.clear()
        else:
            with memoryview(self._buffer) as view, view[:max_bytes] as front:
                chunk = bytes(front)
            del self._buffer[:max_bytes]
        self.wake()
        return chunk

    def finish(self) -> None:
        """The writer will add nothing more."""
        self.writer_done = True
        self.wake()

    def abandon(self) -> None:
        """The reader will take nothing more."""
        self.reader_gone = True
        self._buffer.clear()
        self.wake()

    async def changed(self) -> None:
        """Wait for the next change, by either end."""
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()

    def wake(self) -> None:
        """Let whoever waits look again."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None
