"""The workers of a consumer: who rests, and who is roused for what may be started. Nothing here waits."""

from collections.abc import Callable
from typing import Final

import anyio

from cqrsbus.bus.waiting import Waiting
from cqrsbus.links.port import Deliveries
from cqrsbus.waiter import MakeWaiter, Waiter, waiters

#: So many workers are roused before one of them runs.
AT_ONCE: Final = 2


class Crew:
    """The workers of a consumer.

    Args:
        waiting: What they are for.
        most: How many there may be.
        start: Starts one more.
    """

    __slots__ = ("_all_idle", "_make_waiter", "_most", "_resting", "_roused", "_start", "_waiting", "workers")

    def __init__(self, waiting: Waiting, most: int, start: Callable[[], None]) -> None:
        self._waiting = waiting
        self._most = most
        self._start = start
        self._resting: list[Waiter] = []
        self._make_waiter: MakeWaiter | None = None
        #: How many there are.
        self.workers = 0
        #: Those that are to run and have not yet.
        self._roused = 0
        #: Set when all is done, if anybody waits for that.
        self._all_idle: anyio.Event | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is worked on."""
        return not len(self._waiting) and len(self._resting) == self.workers

    def accept(self, deliveries: Deliveries) -> None:
        """Take deliveries. How many wait is bounded by the subscription's credit."""
        self._waiting.put(deliveries)
        self.rouse()

    def rouse(self) -> None:
        """Get a worker for what may be started, if there is something and one is to be had."""
        is_one_free = self._resting or self.workers < self._most
        if not is_one_free or self._roused >= AT_ONCE or not self._waiting.is_ready:
            return
        self._roused += 1
        if self._resting:
            self._resting.pop().wake()
        else:
            self.workers += 1
            self._start()

    def began(self) -> None:
        """One that was started runs."""
        self._roused -= 1

    def ended(self) -> None:
        """One runs no more."""
        self.workers -= 1
        self.note_idle()

    def lie_down(self) -> Waiter:
        """One is about to rest: what it is to wait with, before it says :meth:`get_up`."""
        if self._make_waiter is None:
            self._make_waiter = waiters()
        waiter = self._make_waiter()
        self._resting.append(waiter)
        self.note_idle()
        return waiter

    def get_up(self, waiter: Waiter) -> None:
        """It rests no more, roused or not."""
        if waiter in self._resting:
            self._resting.remove(waiter)
        else:
            self._roused -= 1

    def idle(self) -> anyio.Event:
        """What is set when all is done."""
        if self._all_idle is None:
            self._all_idle = anyio.Event()
        return self._all_idle

    def note_idle(self) -> None:
        """Tell who waits for it, if all is done."""
        if self._all_idle is not None and self.is_idle:
            self._all_idle.set()
            self._all_idle = None
