"""How a stream waits: the port's rules, on top of what a transport can do at once.

A transport says how to take and to put without waiting (see nowait_stream.py), and how to wait until that is worth
another try. What is the same for all of them is here: try first and wait only where nothing was to be had, or is likely
to be, one receiver and one sender at a time, a checkpoint in each operation, and a stream that is torn when a send is
cancelled midway.
"""

from abc import ABC, abstractmethod

import anyio
from anyio.lowlevel import checkpoint

from cqrsbus.transports.nowait_stream import End, NowaitStream
from cqrsbus.transports.pacing import Pace
from cqrsbus.transports.port import CHUNK_BYTES, Sendable


class WaitingStream(ABC):
    """A `ByteStream` made of operations that do not wait.

    Args:
        peer: The other end, for messages.
        end: What takes and puts.
    """

    __slots__ = (
        "_now", "_peer", "_receive_pace", "_send_pace", "receive_nowait", "send_many_nowait", "send_nowait",
    )  # fmt: skip

    def __init__(self, peer: str, end: End) -> None:
        self._peer = peer
        self._now = now = NowaitStream(end)
        # See `ByteStream`; what needs no waiting needs no function of ours around it either.
        self.receive_nowait = now.receive
        self.send_nowait = now.send
        self.send_many_nowait = now.send_many
        self._receive_pace = Pace()
        self._send_pace = Pace()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._peer}{' closed' if self._now.closed else ''}>"

    @abstractmethod
    async def _takeable(self) -> None:
        """Wait until it is worth taking again."""

    @abstractmethod
    async def _puttable(self) -> None:
        """Wait until it is worth putting again."""

    @abstractmethod
    def _end(self) -> None:
        """Tell the peer that nothing more comes; called once."""

    @abstractmethod
    def _release(self) -> None:
        """Give up what the stream holds, and wake who waits; called once."""

    @property
    def peer(self) -> str:
        """The other end, for messages."""
        return self._peer

    async def receive(self, max_bytes: int = CHUNK_BYTES) -> bytes:
        """See `ByteStream.receive`."""
        now = self._now
        if now.receiving:
            raise anyio.BusyResourceError("receiving from")
        now.receiving = True
        try:
            if now.end.emptied and not now.closed:
                # A checkpoint itself: to look for a cancellation first would be to do it twice.
                await self._wait_takeable()
            else:
                await self._receive_pace.step()
            while (chunk := now.taken(max_bytes)) is None:
                await self._wait_takeable()
            return chunk
        finally:
            now.receiving = False

    async def _wait_takeable(self) -> None:
        await self._takeable()
        self._receive_pace.waited()

    async def send(self, data: Sendable) -> None:
        """See `ByteStream.send`."""
        now = self._now
        now.check_idle()
        now.sending = True
        try:
            await self._send_pace.step()
            sent, size = now.sent(data), memoryview(data).nbytes
            if sent < size:
                await self._send_rest(data, sent, size)
        finally:
            now.sending = False

    def send_eof(self) -> None:
        """See `ByteStream.send_eof`."""
        now = self._now
        if now.closed:
            raise anyio.ClosedResourceError
        now.check_idle()
        if not now.ended:
            now.ended = True
            self._end()

    def close(self) -> None:
        """See `ByteStream.close`."""
        if not self._now.closed:
            self._now.closed = True
            self._release()

    async def aclose(self) -> None:
        """See `ByteStream.aclose`."""
        self.close()
        await checkpoint()

    async def _send_rest(self, data: Sendable, sent: int, size: int) -> None:
        with memoryview(data) as view, view.cast("B") as octets:
            try:
                while sent < size:
                    await self._puttable()
                    self._send_pace.waited()
                    with octets[sent:] as rest:
                        sent += self._now.sent(rest)
            except anyio.BrokenResourceError:
                raise
            except BaseException:
                self._now.torn = sent > 0
                raise
