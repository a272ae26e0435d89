"""Asking for several answers: a stream from one instance, or one answer from every instance."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar, Unpack, overload

from cqrsbus.bus.composer import split
from cqrsbus.bus.expected_errors import errors_of_call
from cqrsbus.bus.gathering import Gathering
from cqrsbus.bus.middleware import begin
from cqrsbus.bus.options import GatherOptions, StreamOptions
from cqrsbus.bus.placing import Placing
from cqrsbus.bus.reading import reader
from cqrsbus.bus.stream import Stream
from cqrsbus.bus.time_left import DEFAULT_TIMEOUT
from cqrsbus.links.port import Replies
from cqrsbus.messages import Query

T = TypeVar("T")


class SeveralAnswers(Placing):
    """The calls that have several answers."""

    @overload
    def stream(self, query: Query[T], /, **options: Unpack[StreamOptions]) -> Stream[T]: ...

    @overload
    def stream(
        self, topic: str, message: object = ..., /, *, returns: type[T], **options: Unpack[StreamOptions]
    ) -> Stream[T]: ...

    @overload
    def stream(self, topic: str, message: Query[T], /, **options: Unpack[StreamOptions]) -> Stream[T]: ...

    @overload
    def stream(
        self, topic: str, message: object = ..., /, *, returns: object = ..., **options: Unpack[StreamOptions]
    ) -> Stream[Any]: ...

    def stream(
        self,
        target: object,
        message: object = ...,
        /,
        *,
        returns: object = ...,
        raises: Sequence[type[Exception]] = (),
        timeout: float | None = DEFAULT_TIMEOUT,
        headers: Mapping[str, str] | None = None,
        credit: int = 64,
        credit_bytes: int = 1024 * 1024,
    ) -> Stream[Any]:
        """Ask one instance for a stream of answers: ``async with bus.stream(query) as items``.

        They come in order, and no faster than they are taken. Leaving stops the handler. The time of the caller's
        cancel scope, and of the message whose handler asks, limits the whole stream; ``timeout`` limits its beginning.

        Args:
            target: The query, or its topic.
            message: The message, if a topic was given.
            returns: The type of each answer; default: the R of ``Query[R]``, else plain values.
            raises: The exceptions that come as they are, beside those of the query's class.
            timeout: Seconds until the first answer, or the end, comes; None for no limit.
            headers: The application's own pairs, for the handler's context.
            credit: Answers that may be under way, 1 to 65535.
            credit_bytes: Bytes that may be under way; the last answer may exceed it.

        Raises:
            ValueError: The credit is out of range.
            InvalidTopicError, InvalidMessageError: The query has no topic, or cannot be carried.
            TypeError: ``raises`` has what cannot be declared.

        Entering and iterating raise what :meth:`Bus.ask` raises; a handler's error comes after what it answered before.
        """
        _check_whole("credit", credit, _MOST_ITEMS)
        _check_whole("credit_bytes", credit_bytes, _MOST_BYTES)
        topic, content = split(target, message, "stream")
        errors_of_call("stream", content, raises)

        async def start() -> Replies:
            self._running("stream")
            call = begin(
                "stream", topic, content, timeout, headers, raises=raises, credit=credit, credit_bytes=credit_bytes
            )
            return await self._open(call)

        return Stream(topic, start, reader(topic, content, returns))

    @overload
    def gather(self, query: Query[T], /, **options: Unpack[GatherOptions]) -> Gathering[T]: ...

    @overload
    def gather(
        self, topic: str, message: object = ..., /, *, returns: type[T], **options: Unpack[GatherOptions]
    ) -> Gathering[T]: ...

    @overload
    def gather(self, topic: str, message: Query[T], /, **options: Unpack[GatherOptions]) -> Gathering[T]: ...

    @overload
    def gather(
        self, topic: str, message: object = ..., /, *, returns: object = ..., **options: Unpack[GatherOptions]
    ) -> Gathering[Any]: ...

    def gather(
        self,
        target: object,
        message: object = ...,
        /,
        *,
        returns: object = ...,
        raises: Sequence[type[Exception]] = (),
        quorum: int | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        headers: Mapping[str, str] | None = None,
    ) -> Gathering[Any]:
        """Ask every instance that answers a query: ``async with bus.gather(query, quorum=2) as replies``.

        The answers come as they are ready. After the last that is needed, or on leaving, the others are stopped.

        Args:
            target: The query, or its topic.
            message: The message, if a topic was given.
            returns: The type of each answer; default: the R of ``Query[R]``, else plain values.
            raises: The exceptions that come as they are, beside those of the query's class.
            quorum: How many answers are needed; None takes all that come in time.
            timeout: Seconds for all of it; None for no limit.
            headers: The application's own pairs, for the handlers' context.

        Raises:
            ValueError: The quorum is no whole number from 1.
            InvalidTopicError, InvalidMessageError: The query has no topic, or cannot be carried.
            TypeError: ``raises`` has what cannot be declared.

        Entering and iterating raise :class:`NoHandlerError` if there is nobody to ask, :class:`QuorumError` if too few
        answered, :class:`ConnectionLostError` and :class:`DeadlineExceededError` as :meth:`Bus.ask` does.
        """
        if quorum is not None:
            _check_whole("quorum", quorum)
        topic, content = split(target, message, "gather")
        errors_of_call("gather", content, raises)

        async def start() -> Replies:
            self._running("gather")
            return await self._open(begin("gather", topic, content, timeout, headers, raises=raises))

        return Gathering(topic, start, reader(topic, content, returns), quorum)


# What the head of a frame can say.
_MOST_ITEMS: Final = 0xFFFF
_MOST_BYTES: Final = 0xFFFF_FFFF


def _check_whole(name: str, given: object, most: float = math.inf) -> None:
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= most:
        limit = "" if most == math.inf else f" to {most}"
        raise ValueError(f"{name} is a whole number from 1{limit}, not {given!r}")
