"""How calls are made: through the middleware, where there is some, and onto the link.

Where there is middleware, a call takes no longer in all than its caller granted, however often it is passed on.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import anyio

from cqrsbus.bus import callables
from cqrsbus.bus.composer import Composer
from cqrsbus.bus.expected_errors import errors_of_call
from cqrsbus.bus.expecting_replies import ExpectingReplies
from cqrsbus.bus.middleware import Call, CallMiddleware, NextCall, chain, check_middleware
from cqrsbus.bus.nowait_calls import NowaitCalls, Placed
from cqrsbus.bus.time_left import scope_before_error, scope_first, time_left
from cqrsbus.errors import DeadlineExceededError, RemoteError
from cqrsbus.links.outgoing import Outgoing
from cqrsbus.links.port import Link, Replies, StreamTerms

C = TypeVar("C", bound=CallMiddleware)


class Placing:
    """What all calls of a bus need: the link, and the middleware around it.

    Args:
        composer: What makes their messages.
    """

    def __init__(self, composer: Composer) -> None:
        self._composer = composer
        #: Where calls are placed; None if the bus is not running.
        self._nowait: NowaitCalls | None = None
        self._call_middleware: list[CallMiddleware] = []
        self._around: NextCall | None = None

    def call_middleware(self, middleware: C) -> C:
        """Put a middleware around every call that this bus makes; usable as a decorator.

        It sees the message before it is encoded, and the answer after it was read, and may change, replace or refuse
        both; of a stream and a gathering it sees the opening. The first declared is the outermost.

        Args:
            middleware: ``async def middleware(call, call_next)``.

        Raises:
            TypeError: It cannot be a middleware as it is written.
            RuntimeError: The bus is running.
        """
        check_middleware(middleware)
        self._refuse_running(middleware)
        self._call_middleware.append(middleware)
        self._around = chain(self._call_middleware, self._place)
        return middleware

    async def _open(self, call: Call) -> Replies:
        """Ask for several answers, through the middleware if there is some; what that does not return is left."""
        if self._around is None:
            opened: Replies = await self._place(call)
            return opened
        all_opened: list[Replies] = []

        async def place(passed: Call) -> Replies:
            replies: Replies = await self._place(passed)
            all_opened.append(replies)
            return replies

        returned: Any = None
        try:
            returned = await chain(self._call_middleware, place)(call)
        finally:
            for replies in all_opened:
                if replies is not returned:
                    replies.leave()
        return _checked_replies(returned, call)

    async def _place(self, call: Call) -> Any:
        """Make a call that has come through the middleware."""
        timeout = time_left(call.timeout, call.deadline)
        if self._around is not None and call.deadline is not None and call.deadline <= anyio.current_time():
            reason = "the middleware took all the time that the caller had granted"
            raise DeadlineExceededError(reason, stage="connect", topic=call.topic)
        match call.verb:
            case "send":
                calls = self._running("send")
                return await outcome_of(
                    calls.send(call.topic, call.message, call.wait, call.raises, timeout, call.headers, call.message_id)
                )
            case "ask":
                calls = self._running("ask")
                return await outcome_of(
                    calls.ask(
                        call.topic, call.message, call.returns, call.raises, timeout, call.headers, call.message_id
                    )
                )
            case "publish":
                link = self._running("publish").link
                return await scope_before_error(link.publish(self._compose(call), timeout=timeout))
            case "stream":
                return await self._stream(call, timeout)
            case "gather":
                return await self._gather(call, timeout)

    async def _stream(self, call: Call, timeout: float | None) -> Replies:
        link, outgoing = self._running("stream").link, self._compose(call)
        expected = errors_of_call("stream", call.message, call.raises)
        terms = StreamTerms(timeout=timeout, lasts=time_left(None), items=call.credit, size=call.credit_bytes)
        return ExpectingReplies(await scope_before_error(link.stream(outgoing, terms)), outgoing, expected)

    async def _gather(self, call: Call, timeout: float | None) -> Replies:
        link, outgoing = self._running("gather").link, self._compose(call)
        expected = errors_of_call("gather", call.message, call.raises)
        replies = await scope_before_error(link.gather(outgoing, timeout=timeout))
        return ExpectingReplies(replies, outgoing, expected)

    def _compose(self, call: Call) -> Outgoing:
        return self._composer.compose(call.topic, call.message, call.headers or None, call.message_id)

    def _place_on(self, link: Link, scope_deadline: Callable[[], float]) -> None:
        """Place calls from now on.

        Args:
            link: Where they go.
            scope_deadline: Tells the deadline of the cancel scopes in which a call is made.
        """
        self._nowait = NowaitCalls(self._composer, link, scope_deadline)

    @property
    def _link(self) -> Link | None:
        """Where calls go; None if the bus is not running."""
        return None if self._nowait is None else self._nowait.link

    def _refuse_running(self, middleware: object) -> None:
        if self._nowait is not None:
            raise RuntimeError(
                f"the middleware {callables.place(middleware)} came when the bus was running: declare it before"
            )

    def _running(self, verb: str) -> NowaitCalls:
        if self._nowait is None:
            raise RuntimeError(f"bus.{verb}() needs a running bus: use 'async with bus'")
        return self._nowait


async def outcome_of(placed: Placed) -> Any:
    """Wait until a call has ended; it is left in any case."""
    try:
        return placed.outcome(await placed.end())
    except BaseException as error:
        await give_up(placed, error)
        raise


async def give_up(placed: Placed, error: BaseException) -> None:
    """Leave a call that came to nothing, before its error is raised again; or raise the declared one it stands for.

    Args:
        placed: The call.
        error: What came of it, be it cancellation.
    """
    # Before anything else is waited for: its place is free.
    placed.leave()
    if isinstance(error, DeadlineExceededError):
        await scope_first()
    elif isinstance(error, RemoteError):
        failure = placed.failure(error)
        raise failure from failure.__cause__


def _checked_replies(returned: Any, call: Call) -> Replies:
    if not callable(getattr(returned, "leave", None)):
        raise TypeError(
            f"the middleware around bus.{call.verb}() returned {type(returned).__name__} for {call.topic!r}: "
            f"return what call_next returned"
        )
    replies: Replies = returned
    return replies
