"""What a run is told as: tables for the terminal, and the same in Markdown for the documentation."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rich.table import Table

from benchmarks import systems
from benchmarks.figures import Samples, spread
from benchmarks.goals import Outcome
from benchmarks.systems.floor import FLOOR
from benchmarks.workloads.start_up import STATEMENTS

_COLUMNS = ("events/s", "CPU µs", "CPU µs server", "asks/s, 128 in flight", "ask p50, one at a time")
_LATENCIES = tuple(f"ask {name}, one at a time" for name in ("p50", "p90", "p99", "p99.9"))

#: The peers whose ratios are told first.
_TOLD = (systems.NATS, systems.JETSTREAM)


@dataclass(frozen=True)
class Grid:
    """A table: a title, a head and rows of text."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def for_terminal(self) -> Table:
        """It as rich prints it."""
        table = Table(title=self.title)
        for number, name in enumerate(self.head):
            table.add_column(name, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*row)
        return table

    def as_markdown(self) -> str:
        """It as Markdown."""
        rule = ["---", *["---:"] * (len(self.head) - 1)]
        return "\n".join(f"| {' | '.join(row)} |" for row in (self.head, rule, *self.rows)) + "\n"


def goals(outcomes: Iterable[Outcome], samples: Samples) -> Grid:
    """Goal and figure, side by side."""
    head = ("figure", "ours", "against", "theirs", "goal", "moonshot", "ratio", "spread", "")
    return Grid("Goals", head, [_goal_row(outcome, samples) for outcome in outcomes])


def _goal_row(outcome: Outcome, samples: Samples) -> Sequence[str]:
    goal, ratio = outcome.goal, outcome.ratio
    sign = "≥" if goal.more else "≤"
    against, theirs = (
        ("its cap", f"{goal.against:,.0f}")
        if not isinstance(goal.against, tuple)
        else (goal.against[0], _median(samples, *goal.against))
    )
    return (
        goal.figure,
        _median(samples, *goal.ours),
        against,
        theirs,
        f"{sign} {goal.goal:g}",
        "" if goal.moonshot is None else f"{sign} {goal.moonshot:g}",
        "" if ratio is None else f"{ratio.median:.2f}",
        "" if ratio is None or ratio.rounds == 1 else f"{ratio.low:.2f} - {ratio.high:.2f}",
        outcome.verdict,
    )


def comparison(samples: Samples) -> Grid:
    """Each system with what was measured of it."""
    names = [name for name in systems.names() if "events/s" in samples.get(name, {})]
    head = ("system", "events/s", "CPU µs per event", "of it in the server", "asks/s, 128 in flight", "ask p50, µs")
    return Grid("Systems", head, [(name, *(_median(samples, name, each) for each in _COLUMNS)) for name in names])


def latencies(samples: Samples) -> Grid:
    """How long an ask takes, one at a time."""
    names = [name for name in (*systems.names(), FLOOR) if _LATENCIES[0] in samples.get(name, {})]
    rows = [(name, *(_median(samples, name, each) for each in _LATENCIES)) for name in names]
    return Grid("One ask at a time, µs", ("system", "p50", "p90", "p99", "p99.9"), rows)


def start_up(samples: Samples) -> Grid:
    """What imports take; no goal but the one of the two packages by name."""
    rows = [(f"`{each}`", _median(samples, each, "ms")) for each in STATEMENTS if each in samples]
    return Grid("Imports, CPU ms", ("statement", "CPU ms"), rows)


def _median(samples: Samples, subject: str, figure: str) -> str:
    values = samples.get(subject, {}).get(figure)
    if not values:
        return ""
    middle = spread(values).median
    return f"{middle:,.0f}" if middle >= 100 else f"{middle:.1f}" if middle >= 1 else f"{middle:.2f}"


def as_json(samples: Samples, outcomes: Iterable[Outcome], about: Mapping[str, object]) -> str:
    """Everything: each round's figures, and what came of the goals."""
    return json.dumps(
        {"about": about, "goals": [_as_object(outcome) for outcome in outcomes], "samples": samples},
        indent=1,
        ensure_ascii=False,
    )


def _as_object(outcome: Outcome) -> dict[str, object]:
    goal, ratio = outcome.goal, outcome.ratio
    return {
        "figure": goal.figure,
        "ours": list(goal.ours),
        "against": goal.against if not isinstance(goal.against, tuple) else list(goal.against),
        "goal": goal.goal,
        "moonshot": goal.moonshot,
        "more is better": goal.more,
        "ratio": None if ratio is None else {"median": ratio.median, "low": ratio.low, "high": ratio.high},
        "verdict": outcome.verdict,
    }


def replace_between(path: Path, marks: str, text: str) -> None:
    """Put a text between ``<!-- begin:MARKS -->`` and ``<!-- end:MARKS -->`` of a page.

    Raises:
        ValueError: The page does not have both.
    """
    page = path.read_text("utf-8")
    begin, end = f"<!-- begin:{marks} -->", f"<!-- end:{marks} -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{path} has no {begin} ... {end}")
    path.write_text(f"{before}{begin}\n\n{text}\n{end}{after}", "utf-8")


def short(outcomes: Sequence[Outcome]) -> str:
    """What came of it, in a few lines: how each figure relates to a peer's, and how many goals were met."""
    lines = list[str]()
    for outcome in outcomes:
        goal, ratio = outcome.goal, outcome.ratio
        if ratio is None or not isinstance(goal.against, tuple) or goal.against[0] not in _TOLD:
            continue
        better = "more" if goal.more else "less"
        lines.append(f"- {goal.figure}: **{ratio.median:.2f} times** that of {goal.against[0]} ({better} is better)")
    met = sum(outcome.met for outcome in outcomes)
    return "\n".join([*lines, f"- {met} of {len(outcomes)} goals are met"]) + "\n"


def told(about: Mapping[str, object]) -> str:
    """The machine and the versions, in sentences."""
    versions = dict(cast("Mapping[str, str]", about["versions"]))
    versions["cqrsbus"] += f" ({about['build']})"
    date = str(about["date"])[:16].replace("T", " ")
    return (
        f"Measured {date} UTC at commit `{about['commit']}` on {about['processor']}, "
        f"{about['cores']} cores, {about['system']}, Python {about['python']}, with "
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}. "
        f"The machine's load was {about['load before']} before, {about['load after']} after.\n"
    )
