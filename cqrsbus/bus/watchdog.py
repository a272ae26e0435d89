"""The watchdog: names the handler that keeps the event loop from turning.

A handler that computes, or calls something that waits without ``await``, stops every other handler, every call and the
heartbeats of its process; and nothing in the loop can say so meanwhile. The rules:

1. A task in the loop counts its turns, and a thread beside it looks at the count, both some times in ``warn_after``
   seconds. Nothing is done for a message.
2. Only time that the thread itself was awake for counts. If it was late too, the process was stopped or the machine
   busy, and nobody here is to blame. Nor is anybody if the loop's thread is found waiting for something to do.
3. One warning for a blockage, and at most one in :data:`QUIET` seconds.
4. Code that does not let go of Python's interpreter lock stops the thread too, and goes unseen.
"""

import inspect
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable
from types import CodeType, FrameType, FunctionType, TracebackType
from typing import Final, Self

import anyio

from cqrsbus.bus.callables import describe
from cqrsbus.bus.handler import Handler

log = logging.getLogger(__name__)

#: Seconds without another warning after one.
QUIET: Final = 10.0
#: Looks within the time after which is warned.
_LOOKS: Final = 4
_JOIN_TIMEOUT: Final = 1.0

_ADVICE: Final = "make it a sync handler ('def'), which runs in a thread, or await anyio.to_thread.run_sync() there"
#: What the event loops are made of; the last two are where a host of trio's guest mode waits.
_LOOPS: Final = frozenset({"anyio", "asyncio", "selectors", "trio", "uvloop", "queue", "threading"})
_TASK: Final = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class Blockage:
    """Tells from looks at a count of turns whether a loop is blocked; knows no clock and no thread.

    Args:
        warn_after: Seconds without a turn that are too many.
        now: When the watch begins, in seconds.
    """

    def __init__(self, warn_after: float, now: float) -> None:
        self._warn_after = warn_after
        self._longest = 2 * warn_after / _LOOKS
        self._turns = -1
        self._turned = self._looked = now
        self._still = 0.0
        self._told = False
        self._quiet_until = now

    def look(self, turns: int, now: float) -> float | None:
        """Return the seconds since the last turn if they are to be warned of now.

        Args:
            turns: How often the loop has turned.
            now: The time, in seconds.
        """
        if turns != self._turns:
            self._turns, self._turned, self._looked = turns, now, now
            self._still, self._told = 0.0, False
            return None
        # Whoever looks this late was not running, and perhaps the loop was not either.
        self._still += min(now - self._looked, self._longest)
        self._looked = now
        if self._told or self._still < self._warn_after or now < self._quiet_until:
            return None
        self._told, self._quiet_until = True, now + QUIET
        return now - self._turned


class Watchdog:
    """Watches the event loop of the thread that enters it.

    Args:
        handlers: Whom to look for.
        warn_after: Seconds without a turn of the loop that are too many.
        clock: The time, in seconds.
    """

    def __init__(
        self, handlers: Iterable[Handler], warn_after: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._handlers = {code: handler for handler in handlers if (code := _code_in_loop(handler)) is not None}
        self._warn_after = warn_after
        self._clock = clock
        self._turns = 0
        self._stop = threading.Event()
        self._watched = 0
        self._around: frozenset[FrameType] = frozenset()
        self._thread = threading.Thread(target=self._watch, name="cqrsbus-watchdog", daemon=True)

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._watched = threading.get_ident()
        self._around = _frames_around(sys._getframe())
        self._thread.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop watching; the thread has ended, unless whoever takes log records keeps it."""
        self._stop.set()
        self._thread.join(_JOIN_TIMEOUT)
        self._around = frozenset()

    async def turn(self) -> None:
        """Count the turns of the loop until cancelled."""
        while True:
            self._turns += 1
            await anyio.sleep(self._warn_after / _LOOKS)

    def _watch(self) -> None:
        blockage = Blockage(self._warn_after, self._clock())
        while not self._stop.wait(self._warn_after / _LOOKS):
            seconds = blockage.look(self._turns, self._clock())
            if seconds is not None:
                self._warn(seconds)

    def _warn(self, seconds: float) -> None:
        frame = sys._current_frames().get(self._watched)
        if frame is None or _waits(frame, self._around):
            return
        where, handler, here = _place(frame), None, ""
        while frame is not None and handler is None:
            handler, here, frame = self._handlers.get(frame.f_code), _place(frame), frame.f_back
        if handler is None:
            log.warning("the event loop has not turned for %.1f s: it is held up at %s", seconds, where)
        else:
            log.warning(
                "%s blocks the event loop, which has not turned for %.1f s: it is at %s, held up at %s; %s",
                handler, seconds, here, where, _ADVICE,
            )  # fmt: skip


def _code_in_loop(handler: Handler) -> CodeType | None:
    """The code of a handler that runs in the loop; a sync one runs in a thread and blocks nobody."""
    written = describe(handler.function).written
    in_loop = handler.is_async or handler.is_stream
    return written.__code__ if in_loop and isinstance(written, FunctionType) else None


def _frames_around(frame: FrameType | None) -> frozenset[FrameType]:
    """The frames that run the loop which runs the task that this frame belongs to."""
    outside: list[FrameType] = []
    while frame is not None:
        if frame.f_code.co_flags & _TASK:
            outside.clear()
        outside.append(frame)
        frame = frame.f_back
    return frozenset(outside[1:])


def _waits(frame: FrameType | None, around: frozenset[FrameType]) -> bool:
    """Whether the loop runs nobody's code just now, and only looks for something to do."""
    while frame is not None and frame not in around:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] not in _LOOPS:
            return False
        frame = frame.f_back
    return True


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} in {code.co_qualname}"
