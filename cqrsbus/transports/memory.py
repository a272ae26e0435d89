"""The memory transport: ``memory:NAME``, pipes inside this process with the manners of a socket.

The rules:

- Names belong to the running event loop: two loops, in two threads or one after the other, never meet.
- Each direction holds at most 64 KiB that the reader has not taken; then the sender waits.
- A connection is made before it is accepted, as with the system's sockets; a full backlog makes ``connect`` wait.
- Closing the listener ends the connections that nobody accepted and leaves the accepted ones alone.
"""

from collections import deque
from collections.abc import Sequence

import anyio
from anyio.lowlevel import RunVar, checkpoint

from cqrsbus.errors import ConnectError, ListenError
from cqrsbus.transports.memory_pipe import MemoryPipe
from cqrsbus.transports.pacing import Pace
from cqrsbus.transports.port import Sendable
from cqrsbus.transports.url import Address, format_url
from cqrsbus.transports.waiting_stream import WaitingStream

_listeners: RunVar[dict[str, "MemoryListener"]] = RunVar("cqrsbus_memory_listeners")


async def listen(address: Address, *, backlog: int) -> "MemoryListener":
    """Listen on a name; see `cqrsbus.transports.listen`."""
    name = _required_name(address)
    await checkpoint()
    names = _names()
    if name in names:
        raise ListenError(f"cannot listen on memory:{name}: a live broker listens there already")
    names[name] = listener = MemoryListener(name, names, backlog)
    return listener


async def connect(address: Address) -> "MemoryStream":
    """Connect to a name; see `cqrsbus.transports.connect`."""
    name = _required_name(address)
    await checkpoint()
    listener = _names().get(name)
    if listener is None:
        raise ConnectError(f"cannot connect to memory:{name}: nobody listens there on this event loop")
    return await listener.admit()


def _names() -> "dict[str, MemoryListener]":
    names = _listeners.get(None)
    if names is None:
        names = dict[str, MemoryListener]()
        _listeners.set(names)
    return names


def _required_name(address: Address) -> str:
    if not address.name:
        raise ValueError(
            f"bad URL {format_url(address)!r}: there is no name to meet at; expected memory:NAME "
            "('memory:' alone is for a Bus, which then has a broker of its own)"
        )
    return address.name


class MemoryEnd:
    """One end of a connection inside this process; see `cqrsbus.transports.nowait_stream.End`.

    Args:
        incoming: What it takes from.
        outgoing: What it puts to.
    """

    __slots__ = ("_incoming", "_outgoing")

    #: To look costs nothing.
    emptied = False

    def __init__(self, incoming: MemoryPipe, outgoing: MemoryPipe) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    def take(self, max_bytes: int) -> bytes | None:
        """See :meth:`End.take`."""
        return self._incoming.take(max_bytes)

    def put(self, data: Sendable) -> int:
        """See :meth:`End.put`."""
        if self._outgoing.reader_gone:
            raise anyio.BrokenResourceError
        return self._outgoing.put(data)

    def put_many(self, buffers: Sequence[Sendable]) -> int:
        """See :meth:`End.put_many`."""
        taken = 0
        for data in buffers:
            put = self.put(data)
            taken += put
            if put < len(data):
                break
        return taken


class MemoryStream(WaitingStream):
    """A connection inside this process, seen from one end."""

    __slots__ = ("_incoming", "_outgoing")

    def __init__(self, incoming: MemoryPipe, outgoing: MemoryPipe, peer: str) -> None:
        super().__init__(peer, MemoryEnd(incoming, outgoing))
        self._incoming = incoming
        self._outgoing = outgoing

    async def _takeable(self) -> None:
        await self._incoming.changed()

    async def _puttable(self) -> None:
        await self._outgoing.changed()

    def _end(self) -> None:
        self._outgoing.finish()

    def _release(self) -> None:
        self._outgoing.finish()
        self._incoming.abandon()


class MemoryListener:
    """A name on the running event loop at which connections arrive.

    Args:
        name: The name.
        names: Where it is registered until closed.
        backlog: How many connections may wait to be accepted.
    """

    def __init__(self, name: str, names: "dict[str, MemoryListener]", backlog: int) -> None:
        self._name = name
        self._names = names
        self._backlog = max(1, backlog)
        self._waiting: deque[MemoryStream] = deque()
        self._changed = anyio.Event()
        self._closed = False
        self._accepting = False
        self._pace = Pace()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}{' closed' if self._closed else ''}>"

    @property
    def url(self) -> str:
        """The URL to connect to."""
        return f"memory:{self._name}"

    async def admit(self) -> MemoryStream:
        """Make a connection, waiting while the backlog is full, and return the connecting end.

        Raises:
            ConnectError: The listener was closed meanwhile.
        """
        while len(self._waiting) >= self._backlog and not self._closed:
            await self._changed.wait()
        if self._closed:
            raise ConnectError(f"cannot connect to {self.url}: the listener closed")
        there, back = MemoryPipe(), MemoryPipe()
        self._waiting.append(MemoryStream(there, back, self.url))
        self._wake()
        return MemoryStream(back, there, self.url)

    async def accept(self) -> MemoryStream:
        """See `Listener.accept`."""
        if self._accepting:
            raise anyio.BusyResourceError("accepting from")
        self._accepting = True
        try:
            await self._pace.step()
            while not self._closed and not self._waiting:
                await self._changed.wait()
                self._pace.waited()
            if self._closed:
                raise anyio.ClosedResourceError
            self._wake()
            return self._waiting.popleft()
        finally:
            self._accepting = False

    def close(self) -> None:
        """See `Listener.close`."""
        if self._closed:
            return
        self._closed = True
        del self._names[self._name]
        while self._waiting:
            self._waiting.popleft().close()
        self._wake()

    async def aclose(self) -> None:
        """See `Listener.aclose`."""
        self.close()
        await checkpoint()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
