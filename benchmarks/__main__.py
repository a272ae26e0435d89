"""Compare cqrsbus with its peers, in one run on one machine: ``make bench`` or ``python -m benchmarks``.

Machines are noisy, so what counts are the ratios of one run: of each round, and of these the median. It ends with 1
if a goal was missed or could not be measured.
"""

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console

from benchmarks import report, svg, systems
from benchmarks.figures import Record
from benchmarks.goals import judge
from benchmarks.plan import steps
from benchmarks.surroundings import surroundings
from benchmarks.workloads.sizes import FULL, SMOKE, Sizes

_DOCS = Path(__file__).parents[1] / "docs"


def main() -> int:
    """Measure, tell, and judge."""
    arguments = _parse()
    sizes = SMOKE if arguments.smoke else FULL
    about = surroundings()
    print(f"measured: cqrsbus, {about['build']}", file=sys.stderr)
    record = Record()
    _run(sizes, record)
    about["load after"] = surroundings()["load before"]
    outcomes = judge(record.samples)
    grids = (
        report.comparison(record.samples),
        report.latencies(record.samples),
        report.start_up(record.samples),
        report.goals(outcomes, record.samples),
    )
    console = Console(width=None if sys.stdout.isatty() else 170)
    for grid in grids:
        console.print(grid.for_terminal())
    written = report.as_json(record.samples, outcomes, about)
    if arguments.json:
        arguments.json.write_text(written, "utf-8")
    if arguments.docs:
        report.replace_between(_DOCS / "performance.md", "short", report.short(outcomes))
        _document(written, grids, about, record)
    return 0 if all(outcome.met for outcome in outcomes) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="do little of everything; the figures say nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure of every round there")
    parser.add_argument("--docs", action="store_true", help="put the figures into docs/performance.md")
    return parser.parse_args()


def _run(sizes: Sizes, record: Record) -> None:
    for name in systems.names():
        if why := systems.missing(name):
            print(f"not measured: {name}: {why}", file=sys.stderr)
    began = time.monotonic()
    for name, step in steps(sizes, record):
        print(f"{time.monotonic() - began:5.0f} s  {name}", file=sys.stderr, flush=True)
        step()


def _document(written: str, grids: tuple[report.Grid, ...], about: dict[str, object], record: Record) -> None:
    page = _DOCS / "performance.md"
    for marks, grid in zip(("systems", "latencies", "start-up", "goals"), grids, strict=True):
        report.replace_between(page, marks, grid.as_markdown())
    report.replace_between(page, "about", report.told(about))
    caption = f"cqrsbus and its peers on {about['processor']}, {about['cores']} cores, {str(about['date'])[:10]}"
    (_DOCS / "img" / "performance.svg").write_text(svg.draw(svg.panels(record.samples), caption), "utf-8")
    (_DOCS / "performance.json").write_text(written + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
