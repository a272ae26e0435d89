"""A socket's `ByteStream` that the event loop watches from its first wait to its end."""

import socket

from cqrsbus.transports.readable import Readable
from cqrsbus.transports.socket_stream import SocketStream


class WatchedSocketStream(SocketStream):
    """One connection over a socket, for as many receives as there may be; see :mod:`cqrsbus.transports.readable`.

    Args:
        sock: A connected stream socket, from now on owned by this object.
        peer: The other end, for messages.
    """

    __slots__ = ("_readable",)

    def __init__(self, sock: socket.socket, peer: str) -> None:
        super().__init__(sock, peer)
        self._readable = Readable()

    async def _takeable(self) -> None:
        self._waiting += 1
        try:
            await self._readable.wait(self._sock)
        finally:
            self._waiting -= 1
            if self._closed and not self._waiting:
                self._sock.close()

    def _release(self) -> None:
        # Before the descriptor is closed, and given to another connection.
        self._readable.close()
        super()._release()
