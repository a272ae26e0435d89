"""Contenders in turn, a burst at a time.

A machine that is shared changes its speed within seconds. So those that are compared run side by side, and while one
has its burst the others rest; whatever happens to the machine happens to all of them. What counts for a round are the
medians of its bursts, and the percentiles of all its latencies together.
"""

import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.figures import Record, percentiles

#: Each kind of work is done in so many bursts a round.
BURSTS = 6


@dataclass(frozen=True)
class Burst:
    """What came of a burst.

    Args:
        figures: What was measured.
        latencies: How long each call took, in µs, by what the calls are named.
    """

    figures: Mapping[str, float]
    latencies: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Contender:
    """Somebody who is ready to work.

    Args:
        name: The subject of what is measured.
        works: What it can do, by the kind of work.
    """

    name: str
    works: Mapping[str, Callable[[], Burst]]


def take_turns(contenders: Sequence[Contender], kinds: Sequence[str], record: Record, *, bursts: int = BURSTS) -> None:
    """Let all who can do a kind of work do it in turn, one kind after the other; note one round of each."""
    done = defaultdict[str, list[Burst]](list)
    for kind in kinds:
        able = [contender for contender in contenders if kind in contender.works]
        for turn in range(bursts):
            for place in range(len(able)):
                # Not always the same one behind the same.
                contender = able[(place + turn) % len(able)]
                done[contender.name].append(contender.works[kind]())
    for name, each in done.items():
        record.add(name, **joined(each))


def joined(bursts: Sequence[Burst]) -> dict[str, float]:
    """The figures of several bursts as one."""
    figures, latencies = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for burst in bursts:
        for name, value in burst.figures.items():
            figures[name].append(value)
        for name, durations in burst.latencies.items():
            latencies[name] += durations
    told = {name: statistics.median(values) for name, values in figures.items()}
    for name, durations in latencies.items():
        verb, how = name.split(maxsplit=1)
        told |= {f"{verb} {which}, {how}": value for which, value in percentiles(durations).items()}
    return told
