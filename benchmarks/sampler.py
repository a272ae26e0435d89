"""Where a process spends its time: every so often of its own CPU time it notes which function runs.

It costs little and needs no knowledge of the functions, so it stays right when they change. What C code spends,
system calls included, counts for the Python function that called it.
"""

import signal
from collections import Counter
from types import FrameType

#: Seconds of CPU time between two looks; the kernel rounds it up to its own tick.
INTERVAL = 0.001


class Sampler:
    """Counts, for each place in the code, how often the process was seen there."""

    def __init__(self) -> None:
        self._seen = Counter[str]()

    def turn(self, *, on: bool) -> dict[str, int]:
        """Begin, or end and return what was seen: the file and function, and how often."""
        if on:
            self._seen.clear()
            signal.signal(signal.SIGPROF, self._look)
            signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
            return {}
        signal.setitimer(signal.ITIMER_PROF, 0)
        return dict(self._seen)

    def _look(self, number: int, frame: FrameType | None) -> None:
        if frame is not None:
            code = frame.f_code
            self._seen[f"{code.co_filename}:{code.co_name}"] += 1
