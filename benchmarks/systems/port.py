"""What a benchmark needs of a system: a server to start, a connection that handles, a connection that calls."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

Action = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Calls:
    """What a caller can do; None where the system has no such thing.

    Args:
        publish: Publish the message to all who listen.
        flush: See to it that what was published has left.
        ask: Ask the handler, and wait for its answer.
        send: Send the message, and wait until the server has confirmed it.
    """

    publish: Action
    flush: Action
    ask: Action | None = None
    send: Action | None = None


class Server(NamedTuple):
    """A running server: where it is, and its process."""

    url: str
    pid: int


class System(Protocol):
    """A system, on the event loop and the configuration that its own documentation advises."""

    #: What anyio runs its workers on.
    backend: str

    def server(self) -> AbstractContextManager[Server]:
        """Start its server."""
        ...

    def handling(self, url: str, handled: Callable[[], None], *, answers: bool) -> AbstractAsyncContextManager[object]:
        """Connect one handler, which calls ``handled`` for each event, and with ``answers`` answers what is asked."""
        ...

    def calling(self, url: str) -> AbstractAsyncContextManager[Calls]:
        """Connect one caller."""
        ...
