"""Taking from a non-blocking socket and putting to it; see `cqrsbus.transports.nowait_stream.End`.

What broke one direction is remembered for that direction only: the system reports an error once, and what the peer said
before it left is still to be read.
"""

import socket
from collections.abc import Callable, Sequence
from typing import TypeVar

import anyio

from cqrsbus.cause import caused_by
from cqrsbus.transports.port import Sendable

T = TypeVar("T")


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
        return self._handed_over(self.sock.send, data)

    def put_many(self, buffers: Sequence[Sendable]) -> int:
        """See :meth:`End.put_many`."""
        return self._handed_over(self.sock.sendmsg, buffers)

    def _handed_over(self, send: Callable[[T], int], data: T) -> int:
        if self._send_error is not None:
            raise caused_by(anyio.BrokenResourceError(), self._send_error)
        try:
            return send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._send_error = error
            raise caused_by(anyio.BrokenResourceError(), error)
