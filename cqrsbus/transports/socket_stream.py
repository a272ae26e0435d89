"""A `ByteStream` over a connected, non-blocking socket: what tcp and unix share.

The file descriptor outlives every task that waits on it. The event loops know a waiting task by the descriptor's number
alone; were it closed at once, the next connection could be given the same number while the old task has not woken up
yet, and that one would then take down the new one's registration. So ``close`` shuts the connection down and wakes the
waiting tasks, and the last of them closes the descriptor.
"""

import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio

from cqrsbus.transports.readable import Readable
from cqrsbus.transports.socket_end import SocketEnd
from cqrsbus.transports.waiting_stream import WaitingStream


class SocketStream(WaitingStream):
    """One connection over a socket.

    Args:
        sock: A connected stream socket, from now on owned by this object.
        peer: The other end, for messages.
    """

    __slots__ = ("_readable", "_sock", "_waiting")

    def __init__(self, sock: socket.socket, peer: str) -> None:
        sock.setblocking(False)
        super().__init__(peer, SocketEnd(sock))
        self._sock = sock
        self._waiting = 0
        self._readable = Readable()

    def watch(self, told: Callable[[], None]) -> bool:
        """See :meth:`cqrsbus.transports.port.Watchable.watch`."""
        return not self._now.closed and self._readable.watch(self._sock, told)

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
            if self._now.closed and not self._waiting:
                self._sock.close()
