"""How long things took, counted in buckets: it stays small however many there are.

A bucket is an eighth of a doubling, so a percentile is right to 9 %; the least and the most are exact.
"""

import math
from collections import Counter
from collections.abc import Generator
from typing import Final, NamedTuple

_PARTS: Final = 8
#: What is shorter, in seconds, is counted as this.
_SHORTEST: Final = 1e-9
PERCENTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}


class Row(NamedTuple):
    """A part of the histogram.

    Args:
        below: Its upper end, in seconds.
        many: How many fell into it.
    """

    below: float
    many: int


class Histogram:
    """Counts durations."""

    def __init__(self) -> None:
        self._buckets = Counter[int]()
        self.count = 0
        self.least = math.inf
        self.most = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self._buckets[math.floor(math.log2(max(seconds, _SHORTEST)) * _PARTS)] += 1
        self.count += 1
        self.least = min(self.least, seconds)
        self.most = max(self.most, seconds)

    def percentile(self, share: float) -> float:
        """The seconds that this share of all did not take longer than; 0 if there were none."""
        left = math.ceil(self.count * share)
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                return min(2 ** ((bucket + 1) / _PARTS), self.most)
        return self.most

    def rows(self) -> Generator[Row]:
        """Each doubling from the least to the most, also where nothing fell into it."""
        if not self.count:
            return
        doublings = Counter[int]()
        for bucket, count in self._buckets.items():
            doublings[bucket // _PARTS] += count
        for doubling in range(min(doublings), max(doublings) + 1):
            yield Row(2.0 ** (doubling + 1), doublings[doubling])
