"""A stream of answers: ``async with bus.stream(query) as items``."""

from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

from cqrsbus.links.answer import Answer
from cqrsbus.links.port import Replies

T = TypeVar("T")


class Stream(Generic[T]):
    """The answers of one handler, as it gives them, in order; made by ``bus.stream``.

    Iterating ends with the handler's last answer, and raises where it failed, after what it answered before. Leaving,
    at any time, stops the handler. What was not taken when it was left is dropped.
    """

    def __init__(self, topic: str, start: Callable[[], Awaitable[Replies]], read: Callable[[Answer], T]) -> None:
        self._topic = topic
        self._start = start
        self._read = read
        self._replies: Replies | None = None
        self._left = False

    async def __aenter__(self) -> Self:
        """Send the query."""
        if self._replies is not None:
            raise RuntimeError(f"the stream from {self._topic!r} is open already")
        self._left = False
        self._replies = await self._start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the handler, if it has not ended."""
        self._left = True
        if self._replies is not None:
            replies, self._replies = self._replies, None
            replies.leave()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        if self._replies is None:
            if self._left:
                raise StopAsyncIteration
            raise RuntimeError(f"the stream from {self._topic!r} is not open: use 'async with bus.stream(...)'")
        reply = await self._replies.next()
        if reply is None:
            raise StopAsyncIteration
        return self._read(Answer(reply.content_type, reply.body))
