"""Waiting once for one thing: what an event is too much for.

An ``anyio.Event`` may be waited for by any number of tasks, before and after it is set, and each call would pay for
that. A waiter is made by the one task that waits, right before it does.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from cqrsbus.native import asyncio_loop, trio_module

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop  # noqa: TID251  # only its type


class Waiter(ABC):
    """One task's waiting."""

    __slots__ = ()

    @abstractmethod
    def wake(self) -> None:
        """Let the task go on; nothing happens if it was woken already, or has left."""

    @abstractmethod
    def wait(self) -> Awaitable[None]:
        """What the task that made it is to await at once, and once; it can be cancelled."""


MakeWaiter: TypeAlias = Callable[[], Waiter]


def waiters() -> MakeWaiter:
    """Return what makes waiters for the event loop that runs the current task."""
    loop = asyncio_loop()
    if loop is not None:
        return lambda: _FutureWaiter(loop)
    trio = trio_module().lowlevel
    return lambda: _TaskWaiter(trio)


class _FutureWaiter(Waiter):
    # As an asyncio.Event does it within. anyio delivers no cancellation to a task whose future is done, so who is woken
    # and then cancelled before it runs still learns what it was woken for.
    __slots__ = ("_future",)

    def __init__(self, loop: "AbstractEventLoop") -> None:
        self._future = loop.create_future()

    def wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    def wait(self) -> Awaitable[None]:
        return self._future


class _TaskWaiter(Waiter):
    # As a trio.Event does it within. To a task that is to run again trio delivers no cancellation either.
    __slots__ = ("_task", "_trio")

    def __init__(self, trio: Any) -> None:
        self._trio = trio
        self._task: Any = trio.current_task()

    def wake(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            self._trio.reschedule(task)

    def wait(self) -> Awaitable[None]:
        waiting: Awaitable[None] = self._trio.wait_task_rescheduled(self._leave)
        return waiting

    def _leave(self, _raise_cancel: object) -> Any:
        self._task = None
        return self._trio.Abort.SUCCEEDED
