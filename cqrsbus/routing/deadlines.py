"""One heap of deadlines instead of a timer for each."""

import heapq
import math
from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Final, Generic, TypeVar

T = TypeVar("T")

#: What is kept is looked through when it has this many entries more than twice what is still awaited.
SLACK: Final = 256


class DeadlineHeap(Generic[T]):
    """Keys, each with the time by which it must be done.

    Most deadlines never pass: their key is discarded first. Discarding is O(1); the entry stays until it comes up or
    until such entries outnumber the living, so memory follows what is awaited. And most come in order, since callers
    grant the same time: those need no heap, but only stand in line.
    """

    def __init__(self) -> None:
        self._deadlines: dict[T, float] = {}
        #: Those that came in order, and the last of them.
        self._in_order: deque[tuple[float, T]] = deque()
        self._last = -math.inf
        #: The others.
        self._heap: list[tuple[float, int, T]] = []
        self._ties = count()

    def __len__(self) -> int:
        return len(self._deadlines)

    def __contains__(self, key: T) -> bool:
        return key in self._deadlines

    def set(self, key: T, deadline: float) -> None:
        """Set or move a key's deadline."""
        self._deadlines[key] = deadline
        if deadline >= self._last or not self._in_order:
            self._in_order.append((deadline, key))
            self._last = deadline
        else:
            heapq.heappush(self._heap, (deadline, next(self._ties), key))
        if len(self._in_order) + len(self._heap) > 2 * len(self._deadlines) + SLACK:
            self._rebuild()

    def discard(self, key: T) -> None:
        """Forget a key; it need not be there."""
        self._deadlines.pop(key, None)

    @property
    def earliest(self) -> float | None:
        """The next deadline to pass, or None."""
        self._drop_stale()
        return self.none_before

    @property
    def none_before(self) -> float | None:
        """A time before which no deadline passes, and that is soon told; None if none ever will."""
        if not self._heap:
            return self._in_order[0][0] if self._in_order else None
        first = self._heap[0][0]
        return min(first, self._in_order[0][0]) if self._in_order else first

    def pop_expired(self, now: float) -> Iterator[T]:
        """Remove and yield the keys whose deadline is not after ``now``, earliest first."""
        while (earliest := self.earliest) is not None and earliest <= now:
            if self._heap and self._heap[0][0] == earliest:
                key = heapq.heappop(self._heap)[2]
            else:
                key = self._in_order.popleft()[1]
            del self._deadlines[key]
            yield key

    def _drop_stale(self) -> None:
        while self._in_order and self._deadlines.get(self._in_order[0][1]) != self._in_order[0][0]:
            self._in_order.popleft()
        while self._heap and self._deadlines.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)

    def _rebuild(self) -> None:
        self._in_order = deque(sorted(((deadline, key) for key, deadline in self._deadlines.items()), key=_deadline))
        self._last = self._in_order[-1][0] if self._in_order else -math.inf
        self._heap.clear()


def _deadline(entry: tuple[float, T]) -> float:
    return entry[0]
