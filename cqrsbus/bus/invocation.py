"""How one handler is called: its message decoded, its middleware gone through, the function run where it belongs.

The middleware is within the handler's scope, and around its dependencies. What both are around is a scope within: they
go on when the handler and its children have ended. The answers of a stream are given outside of the middleware, as long
as whatever it returned yields any, and inside of the dependencies.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

import anyio
from anyio.to_thread import run_sync

from cqrsbus.bus.calling import MessageAlone
from cqrsbus.bus.codec import codec_for
from cqrsbus.bus.context import Context, scope_of
from cqrsbus.bus.dependencies import Dependencies
from cqrsbus.bus.depends import DependencyOverrides
from cqrsbus.bus.handler import Handler, HandlerKind
from cqrsbus.bus.handler_scope import HandlerScope
from cqrsbus.bus.middleware import Handling, chain
from cqrsbus.bus.types import MessageType, message_type
from cqrsbus.errors import InvalidMessageError

Consume: TypeAlias = Callable[[object], Awaitable[None]]
_Call: TypeAlias = Callable[[object, Context], Awaitable[object]]


class HandlerCall:
    """One handler, ready to be called.

    Args:
        handler: What was declared.
        is_last: Nothing else runs after it in its task, so that it needs no scope apart from the worker's.
        overrides: What takes the place of its dependencies.

    Raises:
        TypeError: An override cannot take the place of what it is for.
        InvalidMessageError: The declared type of its message or its answer cannot be carried.
    """

    def __init__(self, handler: Handler, *, is_last: bool = True, overrides: DependencyOverrides | None = None) -> None:
        self.handler = handler
        self._is_last = is_last
        self._threads = anyio.CapacityLimiter(handler.concurrency)
        self._dependencies = None
        if handler.dependencies is not None:
            self._dependencies = Dependencies(
                handler.dependencies, DependencyOverrides() if overrides is None else overrides, self._threads
            )
        self._around = chain(handler.middleware, self._handle) if handler.middleware else None
        #: What is called with a message and its context. Most are the handler itself: it does not pay for what others
        #: need.
        self.begin: _Call = self._call
        #: The handler itself, where it takes its message alone and nothing is around it; else None.
        self.begin_alone: Callable[[object], Awaitable[object]] | None = None
        if self._around is not None:
            self.begin = self._go_through
        elif self._dependencies is not None:
            self.begin = self._provide
        elif handler.is_async:
            self.begin = handler.call  # type: ignore[assignment]  # is_async says that it is awaitable
            if isinstance(handler.call, MessageAlone):
                self.begin_alone = handler.call.function  # type: ignore[assignment]  # as above
        try:
            self.message_type: MessageType[object] = message_type(handler.message_annotation)
            if handler.kind is HandlerKind.QUERY:
                message_type(handler.returns)
        except InvalidMessageError as error:
            raise InvalidMessageError(f"{handler}: {error.reason}", topic=handler.topic) from None

    def decode(self, content_type: str, body: bytes) -> object:
        """Decode a body as what the handler declared."""
        return codec_for(content_type).decode(body, self.message_type)

    def run(self, message: object, context: Context, *, consume: Consume | None = None) -> Awaitable[object]:
        """Call the handler with a decoded message; what is returned ends when it and all that it started have ended.

        Args:
            message: What the body says.
            context: What is known of it.
            consume: Takes what a handler yields, as long as it does; for a handler that answers with a stream.
        """
        begin = self.begin if consume is None else partial(self._stream, consume)
        scope = scope_of(context)
        if scope is None:
            return begin(message, context)
        # Nothing is awaited here: one more coroutine would cost every message.
        return _run_in(scope, begin, message, context) if self._is_last else _run_within(begin, message, context)

    def _go_through(self, message: object, context: Context) -> Awaitable[object]:
        assert self._around is not None
        return self._around(Handling(message=message, context=context, handler=self.handler))

    def _provide(self, message: object, context: Context) -> Awaitable[object]:
        assert self._dependencies is not None
        return self._dependencies.run(message, context, partial(self._run_bound, context))

    async def _stream(self, consume: Consume, message: object, context: Context) -> None:
        if self._around is None:
            await consume(self._answers(message, context))
        else:
            await consume(await self.begin(message, context))

    def _answers(self, message: object, context: Context) -> object:
        if self._dependencies is not None:
            return self._dependencies.stream(message, context)
        return self.handler.call(message, context)

    async def _handle(self, handling: Handling) -> object:
        """The innermost of the middleware."""
        message, context = handling.message, handling.context
        if self.handler.is_stream:
            return self._answers(message, context)
        if self._dependencies is not None:
            return await self._provide(message, context)
        return await _run_within(self._call, message, context)

    async def _run_bound(self, context: Context, call: Callable[[], Any]) -> object:
        """Run the handler with its dependencies."""

        def start(_message: object, _context: Context) -> Awaitable[object]:
            started: Awaitable[object] = call() if self.handler.is_async else run_sync(call, limiter=self._threads)
            return started

        return await _run_within(start, None, context)

    def _call(self, message: object, context: Context) -> Awaitable[object]:
        call = self.handler.call
        if self.handler.is_async:
            return call(message, context)  # type: ignore[return-value]  # is_async says that it is awaitable
        return run_sync(call, message, context, limiter=self._threads)


async def _run_within(call: _Call, message: object, context: Context) -> object:
    scope = scope_of(context)
    if scope is None:
        return await call(message, context)
    with scope.within() as inner:
        return await _run_in(inner, call, message, context)
    raise AssertionError("a handler's own scope is cancelled only when a child has failed, which is raised")


async def _run_in(scope: HandlerScope, call: _Call, message: object, context: Context) -> object:
    raised: BaseException | None = None
    answer: object = None
    scope.context = context
    try:
        try:
            answer = await call(message, context)
        except BaseException as error:  # noqa: BLE001  # it is raised again right below
            raised = error
        if raised is not None or scope.children is not None:
            await scope.join(raised)
        return answer
    finally:
        scope.context = scope.children = None
        del raised
