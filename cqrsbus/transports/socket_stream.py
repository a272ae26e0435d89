"""A `ByteStream` over a connected, non-blocking socket: what tcp and unix share.

The rules:

- The file descriptor outlives every task that waits on it. The event loops know a waiting task by the descriptor's
  number alone; were it closed at once, the next connection could be given the same number while the old task has
  not woken up yet, and that one would then take down the new one's registration. So ``close`` shuts the connection
  down and wakes the waiting tasks, and the last of them closes the descriptor.
- What broke one direction is remembered for that direction only: the system reports an error once, and what the
  peer said before it left is still to be read.
"""

import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import anyio

from cqrsbus.transports.port import Sendable
from cqrsbus.transports.readable import Readable
from cqrsbus.transports.waiting_stream import WaitingStream

T = TypeVar("T")


class SocketStream(WaitingStream):
    """One connection over a socket.

    Args:
        sock: A connected stream socket, from now on owned by this object.
        peer: The other end, for messages.
    """

    __slots__ = ("_readable", "_receive_error", "_send_error", "_sock", "_waiting")

    def __init__(self, sock: socket.socket, peer: str) -> None:
        super().__init__(peer)
        sock.setblocking(False)
        self._sock = sock
        self._waiting = 0
        self._readable = Readable()
        self._receive_error: Exception | None = None
        self._send_error: Exception | None = None

    def _take(self, max_bytes: int) -> bytes | None:
        if self._receive_error is not None:
            raise anyio.BrokenResourceError from self._receive_error
        try:
            chunk = self._sock.recv(max_bytes)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            self._receive_error = error
            raise anyio.BrokenResourceError from error
        # Less than was asked for is all that was there. What comes meanwhile is readable, and ends the wait at once.
        self._emptied = 0 < len(chunk) < max_bytes
        return chunk

    def _put(self, data: Sendable) -> int:
        return self._handed_over(self._sock.send, data)

    def _put_many(self, buffers: Sequence[Sendable]) -> int:
        return self._handed_over(self._sock.sendmsg, buffers)

    def _handed_over(self, send: Callable[[T], int], data: T) -> int:
        if self._send_error is not None:
            raise anyio.BrokenResourceError from self._send_error
        try:
            return send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._send_error = error
            raise anyio.BrokenResourceError from error

    def watch(self, told: Callable[[], None]) -> bool:
        """See :meth:`cqrsbus.transports.port.Watchable.watch`."""
        return not self._closed and self._readable.watch(self._sock, told)

    def unwatch(self) -> None:
        """See :meth:`cqrsbus.transports.port.Watchable.unwatch`."""
        self._readable.unwatch()

    async def _takeable(self) -> None:
        await self._wait(self._readable.wait)

    async def _puttable(self) -> None:
        await self._wait(anyio.wait_writable)

    def _end(self) -> None:
        with suppress(OSError):  # a peer that is gone needs no telling
            self._sock.shutdown(socket.SHUT_WR)

    def _release(self) -> None:
        # Before the descriptor is closed, and given to another connection.
        self._readable.close()
        if not self._waiting:
            self._sock.close()
            return
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        anyio.notify_closing(self._sock)

    async def _wait(self, ready: Callable[[socket.socket], Awaitable[None]]) -> None:
        self._waiting += 1
        try:
            await ready(self._sock)
        finally:
            self._waiting -= 1
            if self._closed and not self._waiting:
                self._sock.close()
