"""How a stream waits: the port's rules, on top of what a transport can do at once.

A transport says how to take and to put without waiting, and how to wait until that is worth another try. What is the
same for all of them is here: try first and wait only where nothing was to be had, or is likely to be, one receiver and
one sender at a time, a checkpoint in each operation, and a stream that is torn when a send is cancelled midway.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import anyio
from anyio.lowlevel import checkpoint

from cqrsbus.transports.pacing import Pace
from cqrsbus.transports.port import CHUNK_BYTES, Sendable


class WaitingStream(ABC):
    """A `ByteStream` made of operations that do not wait.

    Args:
        peer: The other end, for messages.
    """

    __slots__ = (
        "_closed",
        "_emptied",
        "_ended",
        "_peer",
        "_receive_pace",
        "_receiving",
        "_send_pace",
        "_sending",
        "_torn",
    )

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._closed = False
        self._ended = False
        self._torn = False
        self._receiving = False
        #: Set by a transport that knows: to take again at once would most likely be in vain, and waiting ends if not.
        self._emptied = False
        self._sending = False
        self._receive_pace = Pace()
        self._send_pace = Pace()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._peer}{' closed' if self._closed else ''}>"

    @abstractmethod
    def _take(self, max_bytes: int) -> bytes | None:
        """Return what is there, ``b""`` at the end, None when there is nothing yet."""

    @abstractmethod
    def _put(self, data: Sendable) -> int:
        """Hand over what is taken at once and return how many bytes that was."""

    def _put_many(self, buffers: Sequence[Sendable]) -> int:
        """The same with several buffers, as if they were one."""
        taken = 0
        for data in buffers:
            put = self._put(data)
            taken += put
            if put < len(data):
                break
        return taken

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

    def receive_nowait(self, max_bytes: int = CHUNK_BYTES) -> bytes:
        """See `ByteStream.receive_nowait`."""
        if self._receiving:
            raise anyio.BusyResourceError("receiving from")
        chunk = self._taken(max_bytes)
        if chunk is None:
            raise anyio.WouldBlock
        return chunk

    async def receive(self, max_bytes: int = CHUNK_BYTES) -> bytes:
        """See `ByteStream.receive`."""
        if self._receiving:
            raise anyio.BusyResourceError("receiving from")
        self._receiving = True
        try:
            if self._emptied and not self._closed:
                # A checkpoint itself: to look for a cancellation first would be to do it twice.
                await self._wait_takeable()
            else:
                await self._receive_pace.step()
            while (chunk := self._taken(max_bytes)) is None:
                await self._wait_takeable()
            return chunk
        finally:
            self._receiving = False

    async def _wait_takeable(self) -> None:
        self._emptied = False
        await self._takeable()
        self._receive_pace.waited()

    def send_nowait(self, data: Sendable) -> int:
        """See `ByteStream.send_nowait`."""
        self._check_idle()
        return self._sent(data)

    def send_many_nowait(self, buffers: Sequence[Sendable]) -> int:
        """See `ByteStream.send_many_nowait`."""
        self._check_idle()
        self._check_sendable()
        return self._put_many(buffers)

    async def send(self, data: Sendable) -> None:
        """See `ByteStream.send`."""
        self._check_idle()
        self._sending = True
        try:
            await self._send_pace.step()
            sent, size = self._sent(data), memoryview(data).nbytes
            if sent < size:
                await self._send_rest(data, sent, size)
        finally:
            self._sending = False

    def send_eof(self) -> None:
        """See `ByteStream.send_eof`."""
        if self._closed:
            raise anyio.ClosedResourceError
        self._check_idle()
        if not self._ended:
            self._ended = True
            self._end()

    def close(self) -> None:
        """See `ByteStream.close`."""
        if not self._closed:
            self._closed = True
            self._release()

    async def aclose(self) -> None:
        """See `ByteStream.aclose`."""
        self.close()
        await checkpoint()

    def _check_idle(self) -> None:
        if self._sending:
            raise anyio.BusyResourceError("sending to")

    def _taken(self, max_bytes: int) -> bytes | None:
        if self._closed:
            raise anyio.ClosedResourceError
        if max_bytes < 1:
            raise ValueError(f"max_bytes must be at least 1, not {max_bytes}")
        return self._take(max_bytes)

    def _sent(self, data: Sendable) -> int:
        self._check_sendable()
        return self._put(data)

    def _check_sendable(self) -> None:
        if self._closed or self._ended:
            raise anyio.ClosedResourceError
        if self._torn:
            raise anyio.BrokenResourceError from ConnectionAbortedError("an earlier send was cancelled midway")

    async def _send_rest(self, data: Sendable, sent: int, size: int) -> None:
        with memoryview(data) as view, view.cast("B") as octets:
            try:
                while sent < size:
                    await self._puttable()
                    self._send_pace.waited()
                    with octets[sent:] as rest:
                        sent += self._sent(rest)
            except anyio.BrokenResourceError:
                raise
            except BaseException:
                self._torn = sent > 0
                raise
