"""The watchdog: when it warns, whom it names, and that it leaves nothing behind."""

import functools
import logging
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager
from itertools import count
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrsbus.bus.bus import Bus
from cqrsbus.bus.registry import HandlerGroup
from cqrsbus.bus.watchdog import QUIET, Blockage, Watchdog


class Warned(logging.Handler):
    """Lets whoever blocks the loop wait until that was noticed, with a limit that a working watchdog never needs."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._came = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        self._came.set()

    def wait(self) -> None:
        assert self._came.wait(20), "the watchdog has not barked"


@pytest.fixture
def warned() -> Generator[Warned]:
    handler, logger = Warned(), logging.getLogger("cqrsbus.bus.watchdog")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def looks(*, seconds: float, count: int, blockage: Blockage, turns: int, start: float = 0.0) -> list[float]:
    """What it says to looks at a loop that does not turn, so many seconds apart."""
    found = (blockage.look(turns, start + seconds * number) for number in range(1, count + 1))
    return [each for each in found if each is not None]


class TestBlockage:
    def test_a_loop_that_turns_is_not_blocked(self) -> None:
        blockage = Blockage(1.0, 0.0)
        assert [blockage.look(turns, turns * 0.9) for turns in range(50)] == [None] * 50

    def test_one_that_stands_still_is_told_once(self) -> None:
        blockage = Blockage(1.0, 0.0)
        blockage.look(1, 0.0)
        assert looks(seconds=0.25, count=200, blockage=blockage, turns=1) == [1.0]

    def test_the_next_is_told_again_but_not_at_once(self) -> None:
        blockage = Blockage(1.0, 0.0)
        blockage.look(1, 0.0)
        assert looks(seconds=0.25, count=8, blockage=blockage, turns=1) == [1.0]
        blockage.look(2, 2.0)
        assert looks(seconds=0.25, count=8, blockage=blockage, turns=2, start=2.0) == []
        blockage.look(3, QUIET)
        assert looks(seconds=0.25, count=8, blockage=blockage, turns=3, start=QUIET) == [1.0]

    def test_time_that_the_watch_slept_through_does_not_count(self) -> None:
        blockage = Blockage(1.0, 0.0)
        blockage.look(1, 0.0)
        assert blockage.look(1, 0.25) is None
        assert blockage.look(1, 3600.0) is None, "the process was stopped"
        assert blockage.look(2, 3600.1) is None

    def test_a_busy_machine_in_which_the_watch_is_late_needs_more_looks(self) -> None:
        blockage = Blockage(1.0, 0.0)
        blockage.look(1, 0.0)
        assert looks(seconds=5.0, count=2, blockage=blockage, turns=1) == [10.0]
        blockage = Blockage(1.0, 0.0)
        blockage.look(1, 0.0)
        assert looks(seconds=5.0, count=1, blockage=blockage, turns=1) == []

    @given(st.lists(st.floats(0.0, 100.0), max_size=30))
    def test_it_never_takes_fewer_than_two_looks_without_a_turn(self, waits: list[float]) -> None:
        blockage, now = Blockage(1.0, 0.0), 0.0
        for turns, wait in enumerate(waits):
            now += wait
            assert blockage.look(turns, now) is None
            now += wait
            assert blockage.look(turns, now) is None


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "cqrsbus-watchdog"]


@contextmanager
def wrapped_watchdog(group: HandlerGroup) -> Generator[Watchdog]:
    with Watchdog(group.handlers, 0.02) as watchdog:
        yield watchdog
    assert not threads()


@pytest.mark.anyio
class TestWatchdog:
    async def blocked_by(self, group: HandlerGroup, function: Callable[[], Any]) -> None:
        with anyio.fail_after(30), wrapped_watchdog(group) as watchdog:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watchdog.turn)
                await anyio.wait_all_tasks_blocked()
                await function()
                tasks.cancel_scope.cancel()

    async def test_a_blocking_handler_is_named(self, warned: Warned) -> None:
        group = HandlerGroup()

        def something_slow() -> None:
            warned.wait()

        @group.command_handler("c")
        async def blocks(message: int) -> None:
            something_slow()

        await self.blocked_by(group, lambda: blocks(1))
        (text,) = warned.said
        assert text.startswith(f"{group.handlers[0]} blocks the event loop, which has not turned for 0.")
        assert "in TestWatchdog.test_a_blocking_handler_is_named.<locals>.blocks, held up at " in text
        assert f"{threading.__file__}:" in text
        assert "def" in text

    async def test_also_one_behind_a_decorator(self, warned: Warned) -> None:
        group = HandlerGroup()

        def retried(function: Any) -> Any:
            @functools.wraps(function)
            async def again(message: int) -> None:
                await function(message)

            return again

        @group.command_handler("c")
        @retried
        async def blocks(message: int) -> None:
            warned.wait()

        await self.blocked_by(group, lambda: blocks(1))
        assert warned.said[0].startswith(f"{group.handlers[0]} blocks")
        assert "locals>.blocks (" in warned.said[0]

    async def test_and_one_that_answers_with_a_stream(self, warned: Warned) -> None:
        group = HandlerGroup()

        @group.query_handler("q")
        async def blocks(message: int) -> AsyncIterator[int]:
            warned.wait()
            yield 1

        async def drain() -> None:
            assert [number async for number in blocks(1)] == [1]

        await self.blocked_by(group, drain)
        assert warned.said[0].startswith(f"{group.handlers[0]} blocks")

    async def test_what_is_no_handler_is_named_by_its_place(self, warned: Warned) -> None:
        async def blocks() -> None:
            warned.wait()

        await self.blocked_by(HandlerGroup(), blocks)
        (text,) = warned.said
        assert text.startswith("the event loop has not turned for 0.")
        assert f"it is held up at {threading.__file__}:" in text

    async def test_one_that_waits_in_the_selectors_that_loops_wait_in(self, warned: Warned) -> None:
        group = HandlerGroup()

        @group.command_handler("c")
        async def blocks(message: int) -> None:
            while not warned.said:
                subprocess.run(  # noqa: ASYNC221  # this is the mistake
                    [sys.executable, "-c", "import time; time.sleep(0.5)"], capture_output=True, check=True
                )

        await self.blocked_by(group, lambda: blocks(1))
        assert warned.said[0].startswith(f"{group.handlers[0]} blocks")

    async def test_a_loop_that_waits_for_something_to_do_is_not_blocked(self, warned: Warned) -> None:
        hours, looked = count(), threading.Event()

        def clock() -> float:
            hour = next(hours)
            if hour == 10:
                looked.set()
            return 3600.0 * hour

        with anyio.fail_after(30), Watchdog([], 0.02, clock=clock):
            # Nobody counts its turns, but nothing is held up either.
            assert await anyio.to_thread.run_sync(looked.wait, 20)
        assert warned.said == []

    async def test_a_running_bus_is_watched(self, warned: Warned) -> None:
        bus = Bus("watched", "memory:", warn_blocking=0.02)

        @bus.command_handler("c")
        async def blocks(message: int) -> None:
            warned.wait()

        with anyio.fail_after(30):
            async with bus:
                assert len(threads()) == 1
                await bus.send("c", 1, wait=True)
        assert warned.said[0].startswith(f"{bus.handlers[0]} blocks")
        assert not threads()

    @pytest.mark.parametrize("warn_blocking", [None, 1.0])
    async def test_a_bus_that_is_not_to_be_watched_or_has_no_handlers_has_no_thread(
        self, warn_blocking: float | None
    ) -> None:
        bus = Bus("watched", "memory:", warn_blocking=warn_blocking)
        if warn_blocking is None:
            bus.command_handler("c")(_handle)
        with anyio.fail_after(30):
            async with bus:
                assert not threads()

    @pytest.mark.parametrize("warn_blocking", [0.0, -1.0, float("nan")])
    async def test_what_is_no_time_is_refused(self, warn_blocking: float) -> None:
        with pytest.raises(ValueError, match="it is more than 0 s, or None"):
            Bus("watched", warn_blocking=warn_blocking)

    async def test_a_bus_that_cannot_connect_leaves_no_thread(self) -> None:
        bus = Bus("watched", "tcp://127.0.0.1:1", connect_timeout=0.01)
        bus.command_handler("c")(_handle)
        with anyio.fail_after(30), pytest.raises(Exception, match="not connected"):
            async with bus:
                raise AssertionError
        assert not threads()


async def _handle(message: int) -> None: ...


@pytest.mark.parametrize("warn_blocking", [0, -1.0])
def test_a_time_that_is_none(warn_blocking: float) -> None:
    with pytest.raises(ValueError, match="warn_blocking"):
        Bus("watched", warn_blocking=warn_blocking)


def test_the_clock_does_not_depend_on_the_time_of_day() -> None:
    assert Watchdog([], 1.0)._clock is time.monotonic
