"""The bus for programs without an event loop: ``with bus.sync() as b: b.send(...); b.ask(...)``.

The rules:

1. A call enters the event loop while that is certain to run: what is handed to one that is about to end may be
   dropped, and its thread would wait for ever. So no call enters any more before the loop is told to end.
2. A call that has entered is answered: the portal waits for it, and the bus, being closed, ends it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager, suppress
from threading import Lock
from typing import Any, Generic, TypeVar, TypeVarTuple, Unpack, overload

from anyio.from_thread import BlockingPortal

from cqrsbus.bus.bus import Bus
from cqrsbus.bus.gathering import FailedInstance, Gathering
from cqrsbus.bus.options import (
    AskOptions,
    GatherOptions,
    PublishOptions,
    SendOptions,
    StreamOptions,
    SubscribeOptions,
)
from cqrsbus.bus.time_left import DEFAULT_TIMEOUT
from cqrsbus.contracts.judge import Finding
from cqrsbus.links.port import Instance, LinkStatus
from cqrsbus.messages import Command, Event, Query

T = TypeVar("T")
E = TypeVar("E", bound=AbstractAsyncContextManager[Any])
Args = TypeVarTuple("Args")


class SyncBus:
    """A running bus whose calls block; made by ``bus.sync()``. It may be used from several threads.

    Each method does what the one of :class:`Bus` does, takes the same arguments and raises the same errors.

    Args:
        bus: The running bus.
        portal: The way into its event loop.
    """

    def __init__(self, bus: Bus, portal: BlockingPortal) -> None:
        self._bus = bus
        self._portal = portal
        self._entrance = Lock()
        self._closed = False

    @property
    def status(self) -> LinkStatus:
        """See :attr:`Bus.status`."""
        return self._bus.status

    def wait_connected(self) -> None:
        """See :meth:`Bus.wait_connected`."""
        self._call(self._bus.wait_connected)

    def check(self, *, timeout: float | None = DEFAULT_TIMEOUT) -> list[Finding]:
        """See :meth:`Bus.check`."""

        async def check() -> list[Finding]:
            return await self._bus.check(timeout=timeout)

        return self._call(check)

    @overload
    def send(self, command: Command, /, **options: Unpack[SendOptions]) -> None: ...

    @overload
    def send(self, topic: str, message: object = ..., /, **options: Unpack[SendOptions]) -> None: ...

    def send(self, target: Any, message: Any = ..., /, **options: Any) -> None:
        """See :meth:`Bus.send`."""

        async def send() -> None:
            await self._bus.send(target, message, **options)

        self._call(send)

    @overload
    def ask(self, query: Query[T], /, **options: Unpack[AskOptions]) -> T: ...

    @overload
    def ask(self, topic: str, message: object = ..., /, *, returns: type[T], **options: Unpack[AskOptions]) -> T: ...

    @overload
    def ask(self, topic: str, message: Query[T], /, **options: Unpack[AskOptions]) -> T: ...

    @overload
    def ask(
        self, topic: str, message: object = ..., /, *, returns: object = ..., **options: Unpack[AskOptions]
    ) -> Any: ...

    def ask(self, target: Any, message: Any = ..., /, *, returns: Any = ..., **options: Any) -> Any:
        """See :meth:`Bus.ask`."""

        async def ask() -> Any:
            return await self._bus.ask(target, message, returns=returns, **options)

        return self._call(ask)

    @overload
    def publish(self, event: Event, /, **options: Unpack[PublishOptions]) -> None: ...

    @overload
    def publish(self, topic: str, message: object = ..., /, **options: Unpack[PublishOptions]) -> None: ...

    def publish(self, target: Any, message: Any = ..., /, **options: Any) -> None:
        """See :meth:`Bus.publish`."""

        async def publish() -> None:
            await self._bus.publish(target, message, **options)

        self._call(publish)

    @overload
    def subscribe(
        self, pattern: str, into: type[T], **options: Unpack[SubscribeOptions]
    ) -> AbstractContextManager[Iterator[T]]: ...

    @overload
    def subscribe(
        self, pattern: str, into: object = ..., **options: Unpack[SubscribeOptions]
    ) -> AbstractContextManager[Iterator[Any]]: ...

    @contextmanager
    def subscribe(self, pattern: str, into: Any = Any, **options: Unpack[SubscribeOptions]) -> Generator[Iterator[Any]]:
        """See :meth:`Bus.subscribe`; iterating waits for the next event, and ends when the bus is closed."""
        with self._entered(self._bus.subscribe(pattern, into, **options)) as subscription:
            yield self._each(subscription)

    @overload
    def stream(self, query: Query[T], /, **options: Unpack[StreamOptions]) -> AbstractContextManager[Iterator[T]]: ...

    @overload
    def stream(
        self, topic: str, message: object = ..., /, *, returns: type[T], **options: Unpack[StreamOptions]
    ) -> AbstractContextManager[Iterator[T]]: ...

    @overload
    def stream(
        self, topic: str, message: object = ..., /, *, returns: object = ..., **options: Unpack[StreamOptions]
    ) -> AbstractContextManager[Iterator[Any]]: ...

    @contextmanager
    def stream(
        self, target: Any, message: Any = ..., /, *, returns: Any = ..., **options: Any
    ) -> Generator[Iterator[Any]]:
        """See :meth:`Bus.stream`; iterating waits for the next answer, and ends when the bus is closed."""
        with self._entered(self._bus.stream(target, message, returns=returns, **options)) as stream:
            yield self._each(stream)

    @overload
    def gather(
        self, query: Query[T], /, **options: Unpack[GatherOptions]
    ) -> "AbstractContextManager[SyncGathering[T]]": ...

    @overload
    def gather(
        self, topic: str, message: object = ..., /, *, returns: type[T], **options: Unpack[GatherOptions]
    ) -> "AbstractContextManager[SyncGathering[T]]": ...

    @overload
    def gather(
        self, topic: str, message: object = ..., /, *, returns: object = ..., **options: Unpack[GatherOptions]
    ) -> "AbstractContextManager[SyncGathering[Any]]": ...

    @contextmanager
    def gather(
        self, target: Any, message: Any = ..., /, *, returns: Any = ..., **options: Any
    ) -> "Generator[SyncGathering[Any]]":
        """See :meth:`Bus.gather`; iterating waits for the next answer, and ends when the bus is closed."""
        with self._entered(self._bus.gather(target, message, returns=returns, **options)) as gathering:
            yield SyncGathering(gathering, self._each(gathering))

    def close(self) -> None:
        """Let no call in any more; to be called while the event loop still runs."""
        with self._entrance:
            self._closed = True

    @contextmanager
    def _entered(self, entry: E) -> Generator[E]:
        # Not portal.wrap_async_context_manager: a thread that leaves it when the portal is already stopping cannot say
        # so any more, and the portal waits for it for ever.
        self._call(entry.__aenter__)
        try:
            yield entry
        finally:
            # A closed bus has nothing left to leave.
            with suppress(_ClosedError):
                self._call(entry.__aexit__, None, None, None)

    def _each(self, iterator: AsyncIterator[T]) -> Iterator[T]:
        with suppress(_ClosedError, StopAsyncIteration):
            while True:
                yield self._call(iterator.__anext__)

    def _call(self, function: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
        # Held until the event loop has taken the call, not until it has answered.
        with self._entrance:
            if self._closed:
                raise _ClosedError("the bus is closed")
            future = self._portal.start_task_soon(function, *args)
        return future.result()


class SyncGathering(Generic[T]):
    """The answers of every instance, one after the other; made by ``SyncBus.gather``."""

    def __init__(self, gathering: Gathering[T], answers: Iterator[T]) -> None:
        self._gathering = gathering
        self._answers = answers

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return next(self._answers)

    @property
    def asked(self) -> tuple[Instance, ...]:
        """See :attr:`Gathering.asked`."""
        return self._gathering.asked

    @property
    def answered(self) -> tuple[Instance, ...]:
        """See :attr:`Gathering.answered`."""
        return self._gathering.answered

    @property
    def failed(self) -> tuple[FailedInstance, ...]:
        """See :attr:`Gathering.failed`."""
        return self._gathering.failed

    @property
    def missing(self) -> tuple[Instance, ...]:
        """See :attr:`Gathering.missing`."""
        return self._gathering.missing


class _ClosedError(RuntimeError):
    """The bus was left, maybe by another thread."""
