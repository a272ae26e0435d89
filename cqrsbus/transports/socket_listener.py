"""A `Listener` over a listening, non-blocking socket: what tcp and unix share.

The rules:

- Nothing that a single connection does ends the listener: one that failed before it was accepted is passed over.
- Out of file descriptors or memory, or an unknown error: wait and try again, 0.1 s at first, doubling up to 0.8 s,
  so that the listener is back within a second of the shortage's end and does not spin meanwhile. The waiting
  connections stay in the system's queue. It is logged as a warning once per 10 s.
- Only an error of the listening socket itself ends it.
"""

import errno
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

import anyio
from anyio.lowlevel import checkpoint

from cqrsbus.transports.pacing import Pace
from cqrsbus.transports.socket_stream import SocketStream

logger = logging.getLogger("cqrsbus.transports")

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 0.8
WARNING_INTERVAL_SECONDS = 10.0

#: The listening socket itself is no good.
_UNUSABLE = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EFAULT})
#: One connection failed before it was accepted; Linux reports its pending network errors here too.
_ONE_CONNECTION = frozenset(
    {
        errno.ECONNABORTED,
        errno.ECONNRESET,
        errno.EPROTO,
        errno.EPERM,
        errno.ETIMEDOUT,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
    }
)

#: The address is whatever the socket's family has.
StreamMaker: TypeAlias = Callable[[socket.socket, Any], SocketStream]


class Backoff:
    """The pauses between attempts: each twice the one before, up to the longest."""

    def __init__(self) -> None:
        self._next = FIRST_PAUSE_SECONDS

    def pause(self) -> float:
        """Return how long to wait now, in seconds."""
        pause, self._next = self._next, min(2 * self._next, LONGEST_PAUSE_SECONDS)
        return pause

    def reset(self) -> None:
        """Begin with the shortest pause again."""
        self._next = FIRST_PAUSE_SECONDS


class SocketListener:
    """Accepts connections from a listening socket.

    Args:
        sock: A listening stream socket, from now on owned by this object.
        url: The URL to connect to.
        make_stream: Turns an accepted socket and its address into a stream; an OSError passes the connection over.
        on_close: Called once, right before the socket is closed.
        clock: Returns seconds, monotonic.
    """

    def __init__(
        self,
        sock: socket.socket,
        url: str,
        make_stream: StreamMaker,
        *,
        on_close: Callable[[], None] | None = None,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._url = url
        self._make_stream = make_stream
        self._on_close = on_close
        self._clock = clock
        self._closed = False
        self._accepting = False
        self._pace = Pace()
        self._backoff = Backoff()
        self._quiet_until = float("-inf")
        self._closing = anyio.Event()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._url}{' closed' if self._closed else ''}>"

    @property
    def url(self) -> str:
        """The URL to connect to, with the port that the system chose."""
        return self._url

    async def accept(self) -> SocketStream:
        """See `Listener.accept`."""
        if self._accepting:
            raise anyio.BusyResourceError("accepting from")
        self._accepting = True
        try:
            while True:
                await self._pace.step()
                if (stream := await self._try_accept()) is not None:
                    return stream
        finally:
            self._accepting = False
            if self._closed:
                self._sock.close()

    def close(self) -> None:
        """See `Listener.close`."""
        if self._closed:
            return
        self._closed = True
        if self._on_close is not None:
            self._on_close()
        if not self._accepting:
            self._sock.close()
            return
        # The descriptor stays open until the accepting task has woken up; see socket_stream. It must not take
        # connections meanwhile.
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        anyio.notify_closing(self._sock)
        self._closing.set()

    async def aclose(self) -> None:
        """See `Listener.aclose`."""
        self.close()
        await checkpoint()

    async def _try_accept(self) -> SocketStream | None:
        if self._closed:
            raise anyio.ClosedResourceError
        try:
            sock, address = self._sock.accept()
        except (BlockingIOError, InterruptedError):
            await anyio.wait_readable(self._sock)
            self._pace.waited()
            return None
        except OSError as error:
            await self._survive(error)
            return None
        self._backoff.reset()
        try:
            return self._make_stream(sock, address)
        except OSError as error:
            sock.close()
            logger.debug("a connection to %s failed before it was accepted: %s", self._url, error)
            return None

    async def _survive(self, error: OSError) -> None:
        if error.errno in _UNUSABLE:
            raise anyio.BrokenResourceError from error
        if error.errno in _ONE_CONNECTION:
            logger.debug("a connection to %s failed before it was accepted: %s", self._url, error)
            return
        now = self._clock()
        if now >= self._quiet_until:
            self._quiet_until = now + WARNING_INTERVAL_SECONDS
            logger.warning("%s cannot accept connections for now and keeps trying: %s", self._url, error)
        with anyio.move_on_after(self._backoff.pause()):
            await self._closing.wait()
