"""What every transport promises: a reliable, ordered stream of bytes, and a listener that yields such streams.

The rules, the same for every transport and every backend:

- ``x_nowait`` does what can be done at once; ``x`` does the same and waits where ``x_nowait`` would have to.
- Nothing is read ahead. What ``receive`` has not asked for stays with the sender, so a slow reader slows its peer.
- ``receive`` cancelled: no byte is lost. ``send`` cancelled after the first byte: the stream is torn, every later
  send raises ``anyio.BrokenResourceError`` and only reading and closing are left.
- One task receives and one task sends at a time; a second one gets ``anyio.BusyResourceError``.
- The peer ended the stream: ``b""``. The peer broke it: ``anyio.BrokenResourceError``. We closed it:
  ``anyio.ClosedResourceError``. A broken sending side leaves what had arrived before readable, so the peer's
  last words are heard.
- ``close`` never waits and may be called again. It drops what the peer has not read only if the transport must.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias, runtime_checkable

#: What one receive asks for unless told otherwise, in bytes.
CHUNK_BYTES: Final = 65536
#: How many buffers can be handed over together.
MOST_BUFFERS: Final = 64

Sendable: TypeAlias = bytes | bytearray | memoryview


class ByteStream(Protocol):
    """One connection, as bytes in both directions."""

    @property
    def peer(self) -> str:
        """The other end, for messages: ``tcp://127.0.0.1:51234``, ``unix:///path`` or ``memory:NAME``."""
        ...

    def receive_nowait(self, max_bytes: int = CHUNK_BYTES) -> bytes:
        """Return what has arrived already, ``b""`` at the end of the stream.

        Args:
            max_bytes: The most to return, in bytes.

        Raises:
            anyio.WouldBlock: Nothing has arrived yet.
            anyio.BrokenResourceError: The peer broke the connection.
            anyio.ClosedResourceError: This end was closed.
        """
        ...

    async def receive(self, max_bytes: int = CHUNK_BYTES) -> bytes:
        """Wait for bytes and return them, ``b""`` at the end of the stream.

        Args:
            max_bytes: The most to return, in bytes.

        Raises:
            anyio.BrokenResourceError: The peer broke the connection.
            anyio.ClosedResourceError: This end was closed, before or meanwhile.
        """
        ...

    def send_nowait(self, data: Sendable) -> int:
        """Hand over as much as is taken at once and return how many bytes that was, 0 if it would block.

        Raises:
            anyio.BrokenResourceError: The peer is gone, or an earlier send was cancelled midway.
            anyio.ClosedResourceError: This end was closed.
        """
        ...

    def send_many_nowait(self, buffers: Sequence[Sendable]) -> int:
        """Hand over as much as is taken at once of several buffers, as if they were one; see `send_nowait`.

        Args:
            buffers: At most :data:`MOST_BUFFERS`, each of single bytes.

        Raises:
            anyio.BrokenResourceError: The peer is gone, or an earlier send was cancelled midway.
            anyio.ClosedResourceError: This end was closed.
        """
        ...

    async def send(self, data: Sendable) -> None:
        """Hand over all of the data; cancelled midway, nothing more can be sent on this stream.

        Args:
            data: The bytes; a mutable buffer must keep its size and content until this returns.

        Raises:
            anyio.BrokenResourceError: The peer is gone, or an earlier send was cancelled midway.
            anyio.ClosedResourceError: This end was closed, before or meanwhile.
        """
        ...

    def send_eof(self) -> None:
        """Tell the peer that nothing more will be sent, and stay able to receive.

        Raises:
            anyio.BusyResourceError: A send is waiting.
            anyio.ClosedResourceError: This end was closed.
        """
        ...

    def close(self) -> None:
        """Close at once; a waiting ``receive`` or ``send`` raises ``anyio.ClosedResourceError``."""
        ...

    async def aclose(self) -> None:
        """Close, and let other tasks run."""
        ...


@runtime_checkable
class Watchable(Protocol):
    """A stream that can tell a function, without a task, when there is something to receive."""

    def watch(self, told: Callable[[], None]) -> bool:
        """Call a function each time that something can be received, and once when the stream is closed.

        It is called in the event loop's own turn, where no task runs, until :meth:`unwatch`; meanwhile nothing may wait
        in ``receive``. It takes by ``receive_nowait`` what is there, which need not be anything.

        Returns:
            Whether that is so: False where the event loop cannot.
        """
        ...

    def unwatch(self) -> None:
        """Call nothing any more."""
        ...


class Listener(Protocol):
    """A place where connections arrive."""

    @property
    def url(self) -> str:
        """The URL to connect to, with the port that the system chose."""
        ...

    async def accept(self) -> ByteStream:
        """Wait for a connection and return it.

        Raises:
            anyio.BrokenResourceError: The listener itself is unusable; a failing connection never ends it.
            anyio.ClosedResourceError: The listener was closed, before or meanwhile.
        """
        ...

    def close(self) -> None:
        """Stop listening at once; a waiting ``accept`` raises ``anyio.ClosedResourceError``."""
        ...

    async def aclose(self) -> None:
        """Stop listening, and let other tasks run."""
        ...
