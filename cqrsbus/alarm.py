"""One alarm for many deadlines: who sleeps until the earliest is woken if an earlier one turns up.

Several may sleep by one alarm, each of which can be cancelled; all are woken, and look for themselves what is due.
"""

import math

import anyio
from anyio.lowlevel import checkpoint


class Alarm:
    """Sleeps until a time on anyio's clock that others may bring forward meanwhile."""

    def __init__(self) -> None:
        #: When the sleeper wakes.
        self.due = math.inf
        self._wake = anyio.Event()

    def bring_forward(self, deadline: float | None) -> None:
        """Make sure that the sleeper is awake at this time; None is never."""
        if deadline is not None and deadline < self.due:
            self.due = deadline
            self._wake.set()
            self._wake = anyio.Event()

    async def sleep_until(self, deadline: float | None) -> None:
        """Sleep until then, or until an earlier time is set; always lets other tasks run."""
        self.due = math.inf if deadline is None else deadline
        if self.due <= anyio.current_time():
            await checkpoint()
            return
        wake = self._wake
        with anyio.move_on_at(self.due):
            await wake.wait()
