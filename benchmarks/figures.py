"""The arithmetic: percentiles of one run; medians, spread and ratios of several rounds."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: The percentiles that are told of every latency.
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}


def percentiles(durations: Sequence[float]) -> dict[str, float]:
    """Each of the percentiles: the least duration that so many are not above.

    Raises:
        ValueError: There are no durations.
    """
    if not durations:
        raise ValueError("there are no durations")
    ordered = sorted(durations)
    last = len(ordered) - 1
    return {name: ordered[min(last, int(share * len(ordered)))] for name, share in PERCENTILES.items()}


@dataclass(frozen=True)
class Spread:
    """What several rounds gave.

    Args:
        median: The one in the middle.
        low: The least.
        high: The most.
        rounds: How many there were.
    """

    median: float
    low: float
    high: float
    rounds: int


def spread(values: Sequence[float]) -> Spread:
    """The median and the ends of what several rounds gave.

    Raises:
        ValueError: There are no values.
    """
    if not values:
        raise ValueError("there are no values")
    return Spread(statistics.median(values), min(values), max(values), len(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Ours divided by theirs, round by round: what a whole round suffered from is in both, and cancels out.

    Raises:
        ValueError: They do not have the same number of rounds, or none.
    """
    return spread([one / other for one, other in zip(ours, theirs, strict=True)])


#: What was measured: of each subject each figure, once per round.
Samples = Mapping[str, Mapping[str, Sequence[float]]]


class Record:
    """Collects what is measured, round by round."""

    def __init__(self) -> None:
        self.samples = dict[str, dict[str, list[float]]]()

    def add(self, subject: str, **figures: float) -> None:
        """Note one round's figures of a subject."""
        of_subject = self.samples.setdefault(subject, {})
        for name, value in figures.items():
            of_subject.setdefault(name, []).append(value)
