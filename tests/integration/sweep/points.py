"""Cancelling a call at one chosen point, the same way each time.

A call is a coroutine; each time it waits, it yields to the event loop. So it can be cancelled

- ``WAITING``: as it begins to wait for the k-th time (k = 0: before its first step);
- ``WOKEN``: when what it waited for has come, but before it has seen that;
- ``TURN``: when the event loop has turned k times. So everything that others do for the call (the broker, the
  handler, those who carry bytes) is interrupted at each of its steps as well.

None of this looks at a clock, so the points of a call are the same in every run.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from enum import Enum
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import anyio
import sniffio
import trio
from anyio.lowlevel import checkpoint

#: No call has more points; one that does will never end.
MANY = 400

Call: TypeAlias = Callable[[], Coroutine[Any, Any, object]]


class Moment(Enum):
    """What the k of a point counts."""

    WAITING = "waiting"
    WOKEN = "woken"
    TURN = "turn"


class Means(Enum):
    """How a call is cancelled: by a scope around it, or as the backend itself does it."""

    SCOPE = "scope"
    NATIVE = "native"


class Point(NamedTuple):
    """When to cancel a call."""

    moment: Moment
    k: int


Prepare: TypeAlias = Callable[[], AbstractAsyncContextManager[Call]]


async def cancel_everywhere(
    means: Means, moment: Moment, prepare: Prepare, check: Callable[[], Awaitable[None]]
) -> int:
    """Cancel a call at its first point, its second, ... until it ends before it can be cancelled.

    Args:
        means: How it is cancelled.
        moment: What is counted.
        prepare: Makes ready for the call, which may fail with nothing but its cancellation, and clears up after it.
        check: Looks at what is left behind, after each of them.

    Returns:
        How many points there were.
    """
    # Before its first step is one point, whatever is counted.
    first = 0 if moment is Moment.WAITING else 1
    for k in range(first, MANY):
        async with prepare() as call:
            reached = await cancelled_at(Point(moment, k), means, call)
        await check()
        if not reached:
            return k - first
    raise AssertionError(f"the call has more than {MANY} points")


async def cancelled_at(point: Point, means: Means, call: Call) -> bool:
    """Cancel a call at a point; returns whether it came that far."""
    if means is Means.NATIVE and sniffio.current_async_library() == "asyncio":
        return await _in_a_task(point, call)
    scope = anyio.CancelScope() if means is Means.SCOPE else trio.CancelScope()
    return await _in_a_scope(point, call, scope)


async def _in_a_scope(point: Point, call: Call, scope: "anyio.CancelScope | trio.CancelScope") -> bool:
    # Two libraries' scopes have the same methods, but no common type.
    managed: AbstractContextManager[object] = scope
    async with anyio.create_task_group() as tasks:
        if point.moment is Moment.TURN:
            tasks.start_soon(_act_after, point.k, scope.cancel)
        with managed:
            await Watched(call, point, scope.cancel)
        tasks.cancel_scope.cancel()
    return scope.cancel_called


async def _in_a_task(point: Point, call: Call) -> bool:
    cancelled = False

    async def body() -> None:
        await Watched(call, point, cancel)

    def cancel() -> None:
        nonlocal cancelled
        cancelled = task.cancel()

    task = asyncio.create_task(body())
    if point.moment is Moment.TURN:
        await _act_after(point.k, cancel, until=task.done)
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return cancelled


async def _act_after(turns: int, act: Callable[[], object], *, until: Callable[[], bool] = lambda: False) -> None:
    for _ in range(turns):
        await checkpoint()
        if until():
            return
    act()


class Watched:
    """Awaits a call, and acts at a point of it."""

    def __init__(self, call: Call, point: Point, act: Callable[[], object]) -> None:
        self._call = call
        self._point = point
        self._act = act
        self._waits = 0

    def __await__(self) -> Generator[Any, Any, None]:
        if self._point == Point(Moment.WAITING, 0):
            self._act()
        coroutine = self._call()
        step: Callable[[], Any] = partial(coroutine.send, None)
        while True:
            try:
                wanted = step()
            except StopIteration:
                return
            act_when_woken = self._begins_to_wait(wanted)
            try:
                value = yield wanted
            except BaseException as error:  # noqa: BLE001
                step = partial(coroutine.throw, error)
            else:
                if act_when_woken:
                    self._act()
                step = partial(coroutine.send, value)

    def _begins_to_wait(self, wanted: object) -> bool:
        """Returns whether to act as soon as it is woken."""
        self._waits += 1
        if self._waits != self._point.k:
            return False
        if self._point.moment is Moment.WAITING:
            self._act()
        elif self._point.moment is Moment.WOKEN and isinstance(wanted, asyncio.Future):
            # Called before the task is, which comes second: then it is too late to get what has come.
            wanted.add_done_callback(lambda _: self._act())
        else:
            return self._point.moment is Moment.WOKEN
        return False


async def turns(number: int) -> None:
    """Let the event loop turn so many times."""
    for _ in range(number):
        await checkpoint()


async def until(reached: Callable[[], bool], what: str) -> None:
    """Let the event loop turn until something is so."""
    for _ in range(100_000):
        if reached():
            return
        await checkpoint()
    raise AssertionError(f"it never came about: {what}")
