"""Taking from a non-blocking socket and putting to it; see `cqrsbus.transports.nowait_stream.End`.

What broke one direction is remembered for that direction only: the system reports an error once, and what the peer said
before it left is still to be read.
"""

import socket
from collections.abc import Sequence

import anyio

from cqrsbus.cause import caused_by
from cqrsbus.transports.port import Sendable


class SocketEnd:
    """Our end of a connection over a socket.

    Args:
        sock: A connected, non-blocking stream socket.
    """

    __slots__ = ("_receive_error", "_send_error", "emptied", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.emptied = False
        self._receive_error: Exception | None = None
        self._send_error: Exception | None = None

    def take(self, max_bytes: int) -> bytes | None:
        """See :meth:`End.take`."""
        if self._receive_error is not None:
            raise caused_by(anyio.BrokenResourceError(), self._receive_error)
        try:
            chunk = self.sock.recv(max_bytes)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            self._receive_error = error
            raise caused_by(anyio.BrokenResourceError(), error)
        # Less than was asked for is all that was there. What comes meanwhile is readable, and ends the wait at once.
        self.emptied = 0 < len(chunk) < max_bytes
        return chunk

    def put(self, data: Sendable) -> int:
        """See :meth:`End.put`."""
        self._check_sendable()
        try:
            return self.sock.send(data)
        except OSError as error:
            return self._not_sent(error)

    def put_many(self, buffers: Sequence[Sendable]) -> int:
        """See :meth:`End.put_many`."""
        self._check_sendable()
        try:
            return self.sock.sendmsg(buffers)
        except OSError as error:
            return self._not_sent(error)

    def _check_sendable(self) -> None:
        if self._send_error is not None:
            raise caused_by(anyio.BrokenResourceError(), self._send_error)

    def _not_sent(self, error: OSError) -> int:
        """Take that the system took nothing: 0 if it may take something later."""
        if isinstance(error, (BlockingIOError, InterruptedError)):
            return 0
        self._send_error = error
        raise caused_by(anyio.BrokenResourceError(), error)
