"""One heap of deadlines instead of a timer for each."""

import heapq
from collections.abc import Iterator
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")

#: The heap is rebuilt when it holds this many entries more than twice what is still awaited.
SLACK = 256


class DeadlineHeap(Generic[T]):
    """Keys, each with the time by which it must be done.

    Most deadlines never pass: their key is discarded first. Discarding is O(1); the entry stays in the heap
    until it comes up or until such entries outnumber the living, so memory follows what is awaited.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._deadlines: dict[T, float] = {}
        self._ties = count()

    def __len__(self) -> int:
        return len(self._deadlines)

    def __contains__(self, key: T) -> bool:
        return key in self._deadlines

    def set(self, key: T, deadline: float) -> None:
        """Set or move a key's deadline."""
        self._deadlines[key] = deadline
        heapq.heappush(self._heap, (deadline, next(self._ties), key))
        if len(self._heap) > 2 * len(self._deadlines) + SLACK:
            self._rebuild()

    def discard(self, key: T) -> None:
        """Forget a key; it need not be there."""
        self._deadlines.pop(key, None)

    @property
    def earliest(self) -> float | None:
        """The next deadline to pass, or None."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    @property
    def none_before(self) -> float | None:
        """A time before which no deadline passes, and that is soon told; None if none ever will."""
        return self._heap[0][0] if self._heap else None

    def pop_expired(self, now: float) -> Iterator[T]:
        """Remove and yield the keys whose deadline is not after ``now``, earliest first."""
        while True:
            self._drop_stale()
            if not self._heap or self._heap[0][0] > now:
                return
            key = heapq.heappop(self._heap)[2]
            del self._deadlines[key]
            yield key

    def _drop_stale(self) -> None:
        while self._heap and self._deadlines.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)

    def _rebuild(self) -> None:
        self._heap = [(deadline, next(self._ties), key) for key, deadline in self._deadlines.items()]
        heapq.heapify(self._heap)
