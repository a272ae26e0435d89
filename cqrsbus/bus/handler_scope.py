"""The scope of a handler: what it has started ends with it.

The rules:

1. A handler and its children are one piece of work. It has ended when all of them have, and only then is its message
   acknowledged or answered.
2. Whoever fails first fails the message. The others are cancelled and awaited; what they raise then is logged.
3. Children run in the bus's own task group, each in a cancel scope of its own: a task group for each message would be
   paid for by every handler, also by those that start nothing.
4. A worker's scope serves all its handlers, one after the other; it is cancelled with one of them, and then the worker
   is replaced. Where more is to run after the handler in the same task, the handler gets a scope within: middleware
   goes on when the handler and its children have ended, and may run them again.
"""

import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from inspect import isawaitable, iscoroutine
from typing import Any, TypeAlias, cast

import anyio
import anyio.from_thread
from anyio import CancelScope, get_cancelled_exc_class
from anyio.abc import TaskGroup

from cqrsbus.bus.context import Context, current_context, shielded_context

log = logging.getLogger(__name__)

ChildFunction: TypeAlias = Callable[..., Awaitable[object]]


class HandlerScope:
    """What handlers run in, one at a time.

    Args:
        tasks: Where children run.
    """

    __slots__ = ("_inner", "_tasks", "cancel_scope", "children", "context")

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        #: Of the running handler; None when it and all its children have ended. Whoever runs one says so.
        self.context: Context | None = None
        self._inner: HandlerScope | None = None
        #: Is around the handler; whoever makes this enters it.
        self.cancel_scope = CancelScope()
        #: What the running handler has started, once it has started something.
        self.children: Children | None = None

    async def join(self, raised: BaseException | None) -> None:
        """Wait for what the handler has started, now that it has ended; raise what failed first, if anything did.

        Args:
            raised: What the handler raised; None if it returned.
        """
        if self.children is not None:
            await self.children.join(raised)
        elif raised is not None:
            raise raised

    def cancel(self) -> None:
        """Cancel the handler that is running and all it has started."""
        self.cancel_scope.cancel()
        self.cancel_children()

    def cancel_children(self) -> None:
        """Cancel what the handler has started."""
        if self._inner is not None:
            self._inner.cancel_children()
        if self.children is not None:
            self.children.cancel()

    @contextmanager
    def within(self) -> "Generator[HandlerScope]":
        """A scope for a handler that is not the last to run in this one, or has something around it."""
        if self._inner is not None:
            with self._inner.within() as inner:
                yield inner
            return
        self._inner = inner = HandlerScope(self._tasks)
        try:
            with inner.cancel_scope:
                yield inner
        finally:
            self._inner = None

    def start_soon(self, context: Context, function: ChildFunction, args: tuple[Any, ...], name: str | None) -> None:
        """Start a child of the running handler; see :meth:`Context.start_soon`."""
        _check(function)
        try:
            anyio.current_time()
        except anyio.NoEventLoopError:
            # A sync handler's thread.
            anyio.from_thread.run_sync(self._start, context, function, args, name)
        else:
            self._start(context, function, args, name)

    def _start(self, context: Context, function: ChildFunction, args: tuple[Any, ...], name: str | None) -> None:
        if self._inner is not None:
            self._inner._start(context, function, args, name)
            return
        if self.context is not context:
            raise RuntimeError(
                f"the handler of {context.topic!r} has ended, and nothing can be started in its name any more: "
                f"call ctx.start_soon() before it returns"
            )
        if self.children is None:
            self.children = Children(self._tasks, context, self.cancel_scope.cancel)
        self.children.start_soon(function, args, name)


class Children:
    """The tasks that one handler has started.

    Args:
        tasks: Where they run.
        context: The handler's.
        cancel_handler: Cancels the handler.
    """

    def __init__(self, tasks: TaskGroup, context: Context, cancel_handler: Callable[[], None]) -> None:
        self._tasks = tasks
        self._context = context
        self._cancel_handler = cancel_handler
        self._handler_ended = False
        self._running: set[CancelScope] = set()
        self._all_ended = anyio.Event()
        self._cancelled = False
        self._failure: Exception | None = None

    def start_soon(self, function: ChildFunction, args: tuple[Any, ...], name: str | None) -> None:
        """Start one more; where the others are cancelled, it is from its first wait on."""
        scope = CancelScope()
        if self._cancelled:
            scope.cancel()
        if not self._running:
            self._all_ended = anyio.Event()
        self._running.add(scope)
        self._tasks.start_soon(self._run, scope, function, args, name=name or _name_of(function))

    def cancel(self) -> None:
        """Cancel all of them, also those that are started from now on."""
        self._cancelled = True
        for scope in self._running:
            scope.cancel()

    async def join(self, raised: BaseException | None) -> None:
        """Wait for all of them, now that the handler has ended; raise what failed first, if anything did.

        Args:
            raised: What the handler raised; None if it returned.
        """
        self._handler_ended = True
        if raised is None:
            try:
                await self._wait()
            except get_cancelled_exc_class() as error:
                raised = error
        if self._running:
            self.cancel()
            with CancelScope(shield=True):
                await self._wait()
        if self._failure is not None:
            raise self._first(self._failure, raised)
        if raised is not None:
            raise raised

    async def _wait(self) -> None:
        while self._running:
            await self._all_ended.wait()

    async def _run(self, scope: CancelScope, function: ChildFunction, args: tuple[Any, ...]) -> None:
        current_context.set(self._context)
        # It runs beside the handler, not in the block that started it.
        shielded_context.set(None)
        try:
            with scope:
                await _awaitable(function, args)
        except Exception as error:  # noqa: BLE001  # whatever a child raises is its message's failure
            self._note(error)
        except BaseExceptionGroup as group:
            failed, others = group.split(Exception)
            if failed is not None:
                self._note(failed)
            if others is not None:
                raise others from None
        finally:
            self._running.discard(scope)
            if not self._running:
                self._all_ended.set()

    def _note(self, error: Exception) -> None:
        if self._cancelled:
            self._log(error)
            return
        self._failure = error
        self.cancel()
        if not self._handler_ended:
            self._cancel_handler()

    def _first(self, failure: Exception, raised: BaseException | None) -> BaseException:
        """Of a child's failure and what the handler raised after it, what is to be told."""
        besides = None if raised is None else _besides_cancellation(raised)
        if besides is None:
            return failure
        if not isinstance(besides, Exception):
            return besides
        self._log(besides)
        return failure

    def _log(self, error: Exception) -> None:
        log.error(
            "also failed while message %s of %r was being given up", self._context.message_id, self._context.topic,
            exc_info=error,
        )  # fmt: skip


def _besides_cancellation(raised: BaseException) -> BaseException | None:
    cancelled = get_cancelled_exc_class()
    if not isinstance(raised, BaseExceptionGroup):
        return None if isinstance(raised, cancelled) else raised
    return cast("BaseExceptionGroup[BaseException]", raised).split(cancelled)[1]


def _awaitable(function: ChildFunction, args: tuple[Any, ...]) -> Awaitable[object]:
    found: object = function(*args)
    if not isawaitable(found):
        raise TypeError(f"ctx.start_soon() takes an async function, and {_name_of(function)} is none")
    return found


def _check(function: object) -> None:
    if callable(function):
        return
    if iscoroutine(function):
        function.close()
        raise TypeError("ctx.start_soon() takes an async function and its arguments: write start_soon(f, x), not f(x)")
    raise TypeError(f"ctx.start_soon() takes an async function, not {function!r}")


def _name_of(function: object) -> str:
    return str(getattr(function, "__qualname__", function))
