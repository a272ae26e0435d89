"""Waiting until a socket is readable, by one registration that stays.

``anyio.wait_readable`` registers the socket for each wait and takes it out again: on asyncio several system calls for
each message that comes alone, more than receiving it takes. Here the loop is told once. The rules:

1. A socket stays registered from its first wait until it is readable while nobody waits, or until
   :meth:`Readable.close`, which comes before the descriptor is closed. So a slow reader does not keep its loop busy,
   and no registration outlives its descriptor.
2. Who waits is woken once for each time that the socket is found readable, or by ``close``; it looks for itself.
3. Being cancelled takes nothing away: nothing is read here.
4. Who watches is told in the loop's own turn, each time that the socket is found readable, and once by ``close``: no
   task is woken for it.

Where the loop is none of asyncio's, or cannot watch sockets, anyio does it.
"""

import socket
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio

from cqrsbus.native import asyncio_loop

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future  # noqa: TID251  # only their types


class Readable:
    """Tells one task at a time when a socket is readable."""

    __slots__ = ("_chosen", "_echo_due", "_echoes", "_fd", "_loop", "_sock", "_told", "_waiter")

    def __init__(self) -> None:
        self._chosen = False
        self._loop: AbstractEventLoop | None = None
        #: The registered descriptor, or -1.
        self._fd = -1
        #: Kept while it is registered: were it closed by being forgotten, another would get its number.
        self._sock: socket.socket | None = None
        self._waiter: Future[None] | None = None
        #: Who watches.
        self._told: Callable[[], None] | None = None
        self._echoes = False
        self._echo_due = False

    @property
    def is_registered(self) -> bool:
        """Whether the loop watches the socket."""
        return self._fd >= 0

    def wait(self, sock: socket.socket) -> Awaitable[None]:
        """Return what ends when a non-blocking socket, always the same, is readable or :meth:`close` is called.

        It is to be awaited at once, and once.
        """
        if not self._chosen:
            self._choose()
        loop = self._loop
        if loop is None or (self._fd < 0 and not self._register(loop, sock, self._on_readable)):
            return anyio.wait_readable(sock)
        waiter = self._waiter = loop.create_future()
        return waiter

    def watch(self, sock: socket.socket, told: Callable[[], None]) -> bool:
        """Call a function each time that a non-blocking socket is readable, until :meth:`unwatch`.

        Nobody may wait meanwhile.

        Returns:
            Whether that is so: False where the loop cannot.
        """
        if not self._chosen:
            self._choose()
        if self._loop is None or not self._register(self._loop, sock, told):
            return False
        self._told = told
        return True

    def unwatch(self) -> None:
        """Call nothing any more."""
        self._told = None
        self._unregister()

    def close(self) -> None:
        """Take the registration out and wake who waits; the socket is not closed."""
        self._unregister()
        told, self._told = self._told, None
        if told is not None:
            told()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _choose(self) -> None:
        self._chosen = True
        self._loop = asyncio_loop()
        if self._loop is not None:
            # These look for what is readable between our callback and the task that it wakes: they find the same again.
            self._echoes = isinstance(self._loop, sys.modules["asyncio"].SelectorEventLoop)

    def _register(self, loop: "AbstractEventLoop", sock: socket.socket, told: Callable[[], None]) -> bool:
        try:
            loop.add_reader(sock.fileno(), told)
        except NotImplementedError:
            self._loop = None
            return False
        self._fd = sock.fileno()
        self._sock = sock
        self._echo_due = False
        return True

    def _unregister(self) -> None:
        fd, self._fd, self._sock = self._fd, -1, None
        if fd >= 0 and self._loop is not None and not self._loop.is_closed():
            # Not all loops return what their type says.
            remove: Callable[[int], object] = self._loop.remove_reader
            remove(fd)

    def _on_readable(self) -> None:
        if self._echo_due:
            # What is there was told already. Whatever else there is will be found again by the next look.
            self._echo_due = False
        elif self._waiter is None or self._waiter.done():
            self._unregister()
        else:
            self._waiter.set_result(None)
            self._echo_due = self._echoes
