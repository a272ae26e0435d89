"""Waiting once for one thing: what an event is too much for.

An ``anyio.Event`` may be waited for by any number of tasks, before and after it is set, and each call would pay for
that. A waiter is made by the one task that waits, right before it does.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

import anyio

from cqrsbus.native import asyncio_loop

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
    return _EventWaiter if loop is None else lambda: _FutureWaiter(loop)


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


class _EventWaiter(Waiter):
    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = anyio.Event()

    def wake(self) -> None:
        self._event.set()

    def wait(self) -> Awaitable[None]:
        return self._event.wait()
