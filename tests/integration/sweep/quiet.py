"""Whether the event loop is idle: told by what it runs, never by a clock."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import sniffio
import trio
from anyio.lowlevel import checkpoint

#: So many turns in a row nobody else runs.
QUIET_TURNS = 10
TURNS = 2_000


async def quiet() -> None:
    """Wait until nobody else has anything to do; fail if somebody always has.

    Whoever takes the whole processor for nothing, runs in every turn of the event loop.
    """
    with _steps() as steps:
        in_a_row = 0
        for _ in range(TURNS):
            before = steps()
            await checkpoint()
            in_a_row = in_a_row + 1 if steps() - before == 1 else 0
            if in_a_row == QUIET_TURNS:
                return
    raise AssertionError("the event loop never comes to rest")


@contextmanager
def _steps() -> Generator[Callable[[], int]]:
    """Count the steps of all tasks, ours too, and on asyncio all callbacks."""
    with _asyncio_steps() if sniffio.current_async_library() == "asyncio" else _trio_steps() as steps:
        yield steps


@contextmanager
def _asyncio_steps() -> Generator[Callable[[], int]]:
    loop: Any = asyncio.get_running_loop()
    call_soon, count = loop.call_soon, 0

    def counting(*args: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        return call_soon(*args, **options)

    loop.call_soon = counting
    try:
        yield lambda: count
    finally:
        del loop.call_soon


@contextmanager
def _trio_steps() -> Generator[Callable[[], int]]:
    class Steps(trio.abc.Instrument):
        count = 0

        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            self.count += 1

    steps = Steps()
    trio.lowlevel.add_instrument(steps)
    try:
        yield lambda: steps.count
    finally:
        trio.lowlevel.remove_instrument(steps)
