"""Listening to events for a while: ``async with bus.subscribe("event.>", Stored) as messages``."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from cqrsbus.bus.codec import NOT_READ
from cqrsbus.bus.context import Context, context_of
from cqrsbus.bus.reading import read_delivery
from cqrsbus.bus.types import MessageType
from cqrsbus.bus.waiting import ArrivalOrder
from cqrsbus.errors import InvalidMessageError, ProtocolError
from cqrsbus.links.port import Deliveries, Delivery, Sink, Subscribed

log = logging.getLogger(__name__)

T = TypeVar("T")


class Subscription(Generic[T]):
    """The events of a pattern, as an async iterator; made by ``bus.subscribe``.

    An event counts as handled when it is taken. How many wait to be taken is bounded by the subscription's
    credit; beyond that they wait in the broker. One that does not fit the declared type is logged and passed over.
    Iterating ends when the bus is closed, and for other tasks when the subscription is left.

    Each event comes at most once. What is published while the bus reconnects is missed. Who takes nothing for too long
    (``stall_timeout`` of the broker) while publishers are held back for it is cut off, and reconnects; what waits for a
    group is dropped.
    """

    def __init__(self, pattern: str, into: MessageType[T], start: Callable[[Sink], Awaitable[Subscribed]]) -> None:
        self._pattern = pattern
        self._into = into
        self._start = start
        self._subscribed: Subscribed | None = None
        self._waiting = ArrivalOrder(into)
        self._arrived = anyio.Event()
        self._ended = False

    async def __aenter__(self) -> Self:
        """Subscribe; returns once the broker has confirmed it.

        Raises:
            DeadlineExceededError: It did not in time.
            InvalidTopicError: The pattern is malformed.
        """
        if self._subscribed is not None:
            raise RuntimeError(f"the subscription to {self._pattern!r} is active already")
        self._ended = False
        try:
            self._subscribed = await self._start(self._accept)
        except BaseException:
            self._hand_back()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Unsubscribe; what was delivered and not taken is dropped."""
        # Other tasks may be iterating.
        self.end()
        try:
            if self._subscribed is not None:
                subscribed, self._subscribed = self._subscribed, None
                await subscribed.unsubscribe()
        finally:
            self._hand_back()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        message, _ = await self._next()
        return message

    def items(self) -> AsyncIterator[tuple[T, Context]]:
        """Iterate over the events together with what is known of each: its topic, headers, sender, ..."""
        return _Items(self._next)

    def end(self) -> None:
        """Nothing will come any more. What has come can still be taken."""
        self._ended = True
        self._arrived.set()

    def _hand_back(self) -> None:
        """Let others of its group have what was delivered and not taken."""
        for delivery in self._waiting.clear():
            delivery.hand_back()

    def _accept(self, deliveries: Deliveries) -> None:
        self._waiting.put(deliveries)
        self._arrived.set()

    async def _next(self) -> tuple[T, Context]:
        # One that was left has ended, for whoever is still iterating.
        if self._subscribed is None and not self._ended:
            raise RuntimeError(f"not subscribed to {self._pattern!r}: use 'async with bus.subscribe(...)'")
        await checkpoint_if_cancelled()
        while True:
            while (delivery := self._waiting.pop()) is None:
                if self._ended:
                    raise StopAsyncIteration
                # Several tasks may wait: all of them for the same event.
                if self._arrived.is_set():
                    self._arrived = anyio.Event()
                await self._arrived.wait()
            try:
                return self._read(delivery)
            except (InvalidMessageError, ProtocolError) as error:
                log.error(
                    "an event on %r from %r is invalid: %s",
                    delivery.topic,
                    delivery.sender,
                    error.reason,
                    exc_info=error.__cause__,
                )
            finally:
                delivery.done()

    def _read(self, delivery: Delivery) -> tuple[T, Context]:
        message: Any = self._waiting.message()
        return read_delivery(delivery, self._into) if message is NOT_READ else message, context_of(delivery)


class _Items(Generic[T]):
    """No async generator: those want to be closed, which ``break`` does not do."""

    def __init__(self, take: Callable[[], Awaitable[tuple[T, Context]]]) -> None:
        self._take = take

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[T, Context]:
        return await self._take()
