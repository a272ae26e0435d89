"""Dependencies, while a message is handled: made before its handler is called, cleaned up after it.

The rules:

1. They are made one after the other, each once per message and handler, unless ``use_cache=False`` says otherwise.
2. A sync function runs in a worker thread, as a sync handler does: it may block. What need not block is written as
   ``async def``, and costs next to nothing. Where all is sync, and nothing is to be cleaned up, the handler and what it
   depends on share one visit to a thread.
3. A generator goes on after the handler, and all that it started, have ended, and before the message is answered or
   acknowledged: the last first, whatever happened. What the handler raised, and cancellation, is raised at its
   ``yield``. It may raise something else, but not keep it to itself: a failure stays one.
4. What clean-up raises fails the message.

Why not fast-depends, which others use: it passes values by the names of parameters, through the whole graph, so that
``writer(db: Depends(primary))`` gets the replica as soon as the handler has a parameter ``db: Depends(replica)``. The
clean-up of a sync generator is left to the garbage collector when the handler is cancelled. The last ``use_cache=`` of
a dependency counts for all who use it, and an override outlives the ``with`` block that fails. None of it can be told
from outside, and what would be left of it, a loop over a sorted graph, is what stands here.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractContextManager, AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from inspect import iscoroutine
from types import TracebackType
from typing import Any, Final, TypeAlias

from anyio import CancelScope, CapacityLimiter
from anyio.lowlevel import checkpoint_if_cancelled
from anyio.to_thread import run_sync

from cqrsbus.bus.callables import place
from cqrsbus.bus.context import Context
from cqrsbus.bus.dependency_graph import Making, Node
from cqrsbus.bus.dependency_plan import Plan, Step, Values, plan_for
from cqrsbus.bus.depends import DependencyOverrides

#: Runs the handler, and all that it starts, to its end.
RunHandler: TypeAlias = Callable[[Callable[[], Any]], Awaitable[object]]

_IN_THREAD: Final = (Making.SYNC, Making.SYNC_GENERATOR)


class Dependencies:
    """The dependencies of one handler.

    Args:
        handler: The handler and what it depends on.
        overrides: What takes the place of a dependency.
        threads: How many worker threads it may have.

    Raises:
        TypeError: An override takes a message that this handler's is not.
    """

    def __init__(self, handler: Node, overrides: DependencyOverrides | None, threads: CapacityLimiter) -> None:
        self._handler = handler
        self._overrides = DependencyOverrides() if overrides is None else overrides
        self._threads = threads
        self._version = self._overrides.version
        self._plan = plan_for(handler, self._overrides)

    async def run(self, message: object, context: Context, run: RunHandler) -> object:
        """Make them, run the handler, and clean up.

        Args:
            message: For those that take it.
            context: For those that take it.
            run: Runs the handler.
        """
        plan, values = self._current(), [message, context]
        if plan.is_sync:
            return await run(lambda: _call_all(plan, values))
        if not plan.has_clean_up:
            await self._make(plan, values, AsyncExitStack())
            return await run(plan.handler.bound(values))
        async with self._made(plan, values) as handler:
            return await run(handler)
        raise AssertionError("what a handler raises is never kept to itself")

    async def stream(self, message: object, context: Context) -> AsyncGenerator[object]:
        """Make them, yield what the handler yields, and clean up.

        Args:
            message: For those that take it.
            context: For those that take it.
        """
        async with self._made(self._current(), [message, context]) as handler, aclosing(handler()) as answers:
            async for answer in answers:
                yield answer

    @asynccontextmanager
    async def _made(self, plan: Plan, values: Values) -> AsyncGenerator[Callable[[], Any]]:
        failure: BaseException | None = None
        try:
            async with AsyncExitStack() as stack:
                try:
                    await self._make(plan, values, stack)
                    yield plan.handler.bound(values)
                except BaseException as error:
                    failure = error
                    raise
            if failure is not None:  # which a dependency kept to itself
                raise failure
        finally:
            del failure  # it has this frame in its traceback

    def _current(self) -> Plan:
        if self._version != self._overrides.version:
            self._version = self._overrides.version
            self._plan = plan_for(self._handler, self._overrides)
        return self._plan

    async def _make(self, plan: Plan, values: Values, stack: AsyncExitStack) -> None:
        for step in plan.steps:
            values.append(await self._value(step, step.bound(values), stack))
            if step.making in _IN_THREAD:
                # A thread is waited for though the caller has left: nothing more is begun for it then.
                await checkpoint_if_cancelled()

    async def _value(self, step: Step, function: Callable[[], Any], stack: AsyncExitStack) -> object:
        match step.making:
            case Making.ASYNC:
                return await function()
            case Making.SYNC:
                return await run_sync(_call, step, function, limiter=self._threads)
            case Making.ASYNC_GENERATOR:
                made = function()
                manager = made if hasattr(made, "__aenter__") else asynccontextmanager(_itself)(made)
                return await stack.enter_async_context(manager)
            case Making.SYNC_GENERATOR:
                made = function()
                manager = made if hasattr(made, "__enter__") else contextmanager(_itself)(made)
                return await stack.enter_async_context(_InThread(manager, self._threads))


class _InThread:
    """A context manager that is entered and left in a worker thread; left also when cancelled."""

    def __init__(self, manager: AbstractContextManager[Any], threads: CapacityLimiter) -> None:
        self._manager = manager
        self._threads = threads

    async def __aenter__(self) -> Any:
        return await run_sync(self._manager.__enter__, limiter=self._threads)

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        with CancelScope(shield=True):
            return await run_sync(self._manager.__exit__, exc_type, exc, traceback, limiter=self._threads)
        raise AssertionError("nobody cancels this scope")


def _call_all(plan: Plan, values: Values) -> object:
    for step in plan.steps:
        values.append(_call(step, step.bound(values)))
    return plan.handler.bound(values)()


def _call(step: Step, function: Callable[[], Any]) -> object:
    value: object = function()
    if iscoroutine(value):
        value.close()
        raise TypeError(f"the dependency {place(step.function)} returned a coroutine: write it as 'async def'")
    return value


def _itself(generator: Any) -> Any:
    return generator
