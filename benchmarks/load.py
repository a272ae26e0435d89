"""What callers do: publish as fast as the system takes it, and call one after the other or with many in flight."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import anyio

from benchmarks.systems.port import Action, Calls


async def publish(calls: Calls, count: int) -> dict[str, float]:
    """Publish so many; returns when it began, by the clock that all processes of the machine share."""
    began = time.monotonic()
    for _ in range(count):
        await calls.publish()
    await calls.flush()
    return {"began": began}


async def call(action: Action, count: int, in_flight: int) -> dict[str, Any]:
    """Call so often, with so many in flight; returns the rate, and how many seconds each call took."""
    durations = list[float]()
    began = time.perf_counter()
    if in_flight == 1:
        await _caller(action, iter(range(count)), durations)
    else:
        numbers = iter(range(count))
        async with anyio.create_task_group() as tasks:
            for _ in range(in_flight):
                tasks.start_soon(_caller, action, numbers, durations)
    return {"rate": count / (time.perf_counter() - began), "durations": durations}


async def _caller(action: Action, numbers: Iterator[int], durations: list[float]) -> None:
    for _ in numbers:
        began = time.perf_counter()
        await action()
        durations.append(time.perf_counter() - began)


class Counter:
    """Counts what was handled, and tells when it is all.

    Args:
        tell: Called with the time of the last one.
    """

    def __init__(self, tell: Callable[[float], object]) -> None:
        self._tell = tell
        self._left = 0

    def expect(self, count: int) -> None:
        """From now on so many are to come."""
        self._left = count

    def handled(self) -> None:
        """One more was handled."""
        self._left -= 1
        if self._left == 0:
            self._tell(time.monotonic())
