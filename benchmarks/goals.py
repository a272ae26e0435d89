"""The goals, as rows: which figure of ours is compared with which figure of whom, and what the ratio is to be."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import systems
from benchmarks.figures import Samples, Spread, ratios
from benchmarks.systems.floor import FLOOR
from benchmarks.workloads.codec_alone import BY_HAND
from benchmarks.workloads.codec_alone import SUBJECT as CODEC
from benchmarks.workloads.large import RELAY, SIZES
from benchmarks.workloads.one_to_one import BESIDE_CODEC
from benchmarks.workloads.stopped import CAP_MIB

OURS, NATS = systems.OURS, systems.NATS


@dataclass(frozen=True)
class Goal:
    """A row of the table.

    Args:
        figure: What is compared, as the table says it.
        ours: Subject and name of our figure.
        against: Subject and name of theirs; a number where it is a fixed bound.
        goal: What the ratio of ours to theirs is to be.
        moonshot: What it would be at best; None where nothing more was asked for.
        more: Whether more is better.
    """

    figure: str
    ours: tuple[str, str]
    against: tuple[str, str] | float
    goal: float
    moonshot: float | None = None
    more: bool = False


GOALS: tuple[Goal, ...] = (
    Goal("published to handled, 1 to 1", (OURS, "events/s"), (NATS, "events/s"), 2.0, 3.0, more=True),
    Goal("the same", (OURS, "events/s"), (systems.FASTSTREAM, "events/s"), 15.0, 25.0, more=True),
    Goal("CPU µs per message, all processes", (BESIDE_CODEC, "CPU µs"), (CODEC, "CPU µs"), 1.7, 1.3),
    Goal("the same", (BESIDE_CODEC, "CPU µs"), (BY_HAND, "CPU µs"), 1.7, 1.3),
    Goal(
        "asks/s, 128 in flight", (OURS, "asks/s, 128 in flight"), (NATS, "asks/s, 128 in flight"), 2.0, 3.0, more=True
    ),
    Goal("one ask at a time, p50", (OURS, "ask p50, one at a time"), (NATS, "ask p50, one at a time"), 1.0, 0.7),
    Goal("the same", (OURS, "ask p50, one at a time"), (FLOOR, "ask p50, one at a time"), 4.0, 2.5),
    Goal("fan-out 1 to 50, deliveries/s", (OURS, "deliveries/s"), (NATS, "deliveries/s"), 1.5, 2.0, more=True),
    Goal(
        "confirmed sends/s, 32 in flight",
        (OURS, "sends/s, 32 in flight"),
        (systems.JETSTREAM, "sends/s, 32 in flight"),
        1.5,
        3.0,
        more=True,
    ),
    Goal(
        "server memory per idle connection",
        (OURS, "KiB per idle connection"),
        (NATS, "KiB per idle connection"),
        1.0,
        0.5,
    ),
    Goal("trio, published to handled", (systems.TRIO, "events/s"), (OURS, "events/s"), 0.8, 1.1, more=True),
    Goal("import cqrsbus", ("import cqrsbus", "ms"), ("import pydantic", "ms"), 1.4, 1.2),
    Goal(
        "broker CPU per message beside 1,000 subscriptions",
        ("beside 1,000 subscriptions", "CPU µs server"),
        ("without 1,000 subscriptions", "CPU µs server"),
        1.25,
    ),
    Goal(
        "the same, beside 100,000",
        ("beside 100,000 subscriptions", "CPU µs server"),
        ("without 100,000 subscriptions", "CPU µs server"),
        1.25,
    ),
    Goal(
        "broker CPU per message beside 1,000 idle connections",
        ("beside 1,000 connections", "CPU µs server"),
        ("without 1,000 connections", "CPU µs server"),
        1.25,
    ),
    *(
        Goal(
            f"broker CPU per byte, bodies of {size}",
            (OURS, f"ns per byte, {size}"),
            (RELAY, f"ns per byte, {size}"),
            1.5,
        )
        for size in SIZES
    ),
    Goal("broker's growth by a stopped subscriber", ("stopped subscriber", "MiB"), float(CAP_MIB), 1.25),
)


@dataclass(frozen=True)
class Outcome:
    """What came of a goal in a run.

    Args:
        goal: The goal.
        ratio: Ours to theirs; None if one of them was not measured in this run.
    """

    goal: Goal
    ratio: Spread | None

    @property
    def met(self) -> bool:
        """Whether it was measured and reached."""
        return self.ratio is not None and _reaches(self.ratio.median, self.goal.goal, more=self.goal.more)

    @property
    def verdict(self) -> str:
        """The same in a word."""
        if self.ratio is None:
            return "not measured"
        moonshot = self.goal.moonshot
        if moonshot is not None and _reaches(self.ratio.median, moonshot, more=self.goal.more):
            return "moonshot"
        return "met" if self.met else "missed"


def judge(samples: Samples, goals: Sequence[Goal] = GOALS) -> list[Outcome]:
    """Compare what was measured with the goals."""
    return [Outcome(goal, _ratio(samples, goal)) for goal in goals]


def _ratio(samples: Samples, goal: Goal) -> Spread | None:
    ours = samples.get(goal.ours[0], {}).get(goal.ours[1], ())
    if isinstance(goal.against, tuple):
        theirs = samples.get(goal.against[0], {}).get(goal.against[1], ())
    else:
        theirs = [goal.against] * len(ours)
    # A zero is less than the kernel's clock can tell: no figure.
    return ratios(ours, theirs) if ours and len(ours) == len(theirs) and all(theirs) else None


def _reaches(ratio: float, wanted: float, *, more: bool) -> bool:
    return ratio >= wanted if more else ratio <= wanted
