"""The answers of every instance: ``async with bus.gather(query, quorum=2) as replies``.

The rules:

1. Who is asked is decided when the query arrives at the broker; each of them answers, fails, or never comes.
2. Answers are taken as they come. With a quorum, iterating ends with the last that is needed, and those who still work
   on it are stopped; it raises as soon as the quorum cannot be reached any more.
3. Without a quorum, iterating ends when nobody is left to answer, or the time is up.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeVar

from cqrsbus.errors import DeadlineExceededError, InvalidMessageError, QuorumError
from cqrsbus.links.answer import Answer
from cqrsbus.links.port import Instance, Replies, Reply

T = TypeVar("T")


class FailedInstance(NamedTuple):
    """An instance that did not answer, and why."""

    instance: Instance
    error: Exception


class Gathering(Generic[T]):
    """The answers of every instance; made by ``bus.gather``."""

    def __init__(
        self,
        topic: str,
        start: Callable[[], Awaitable[Replies]],
        read: Callable[[Answer], T],
        quorum: int | None,
    ) -> None:
        self._topic = topic
        self._start = start
        self._read = read
        self._quorum = quorum
        self._replies: Replies | None = None
        self._answered: list[Instance] = []
        self._failed: list[FailedInstance] = []

    @property
    def asked(self) -> tuple[Instance, ...]:
        """Every instance that was asked; known when the first answer has come."""
        return () if self._replies is None else tuple(self._replies.asked)

    @property
    def answered(self) -> tuple[Instance, ...]:
        """Those whose answers have been taken, in the order in which they came."""
        return tuple(self._answered)

    @property
    def failed(self) -> tuple[FailedInstance, ...]:
        """Those who answered with an error, were too busy, or were lost."""
        return tuple(self._failed)

    @property
    def missing(self) -> tuple[Instance, ...]:
        """Those who were asked and, up to now, have neither answered nor failed."""
        came = {*self._answered, *(failure.instance for failure in self._failed)}
        return tuple(instance for instance in self.asked if instance not in came)

    async def __aenter__(self) -> Self:
        """Send the query."""
        if self._replies is not None:
            raise RuntimeError(f"the answers from {self._topic!r} can be gathered once: call bus.gather() again")
        self._replies = await self._start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop those who still work on it."""
        if self._replies is not None:
            self._replies.leave()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        answer, _ = await self._next()
        return answer

    def items(self) -> AsyncIterator[tuple[T, Instance]]:
        """Iterate over the answers together with who gave each."""
        return _Items(self._next)

    async def _next(self) -> tuple[T, Instance]:
        if self._replies is None:
            raise RuntimeError(f"nobody was asked for {self._topic!r} yet: use 'async with bus.gather(...)'")
        while self._quorum is None or len(self._answered) < self._quorum:
            reply = await self._replies.next()
            if reply is None:
                self._check_quorum(self._replies, len(self._answered))
                break
            answer = self._take(reply)
            if answer is not None:
                return answer[0], reply.instance
            self._check_quorum(self._replies, len(self._replies.asked) - len(self._failed))
        self._replies.leave()
        raise StopAsyncIteration

    def _take(self, reply: Reply) -> tuple[T] | None:
        error = reply.error
        if error is None:
            try:
                answer = self._read(Answer(reply.content_type, reply.body))
            except InvalidMessageError as unreadable:
                error = unreadable
            else:
                return self._took(reply.instance, answer)
        # Who ran out of time is missing.
        if not isinstance(error, DeadlineExceededError):
            self._failed.append(FailedInstance(reply.instance, error))
        return None

    def _took(self, instance: Instance, answer: T) -> tuple[T]:
        self._answered.append(instance)
        if len(self._answered) == self._quorum and self._replies is not None:
            self._replies.leave()
        return (answer,)

    def _check_quorum(self, replies: Replies, possible: int) -> None:
        if self._quorum is None or possible >= self._quorum:
            return
        replies.leave()
        why = [f"{name} failed ({type(error).__name__}: {error})" for (_, name), error in self._failed]
        why += [f"{name} has not answered" for _, name in self.missing]
        count = f"{len(self._answered)} of {self._quorum} needed answers came from {len(replies.asked)} instances"
        raise QuorumError("; ".join([count, ", ".join(why)] if why else [count]), topic=self._topic)


class _Items(Generic[T]):
    """No async generator: those want to be closed, which ``break`` does not do."""

    def __init__(self, take: Callable[[], Awaitable[tuple[T, Instance]]]) -> None:
        self._take = take

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[T, Instance]:
        return await self._take()
