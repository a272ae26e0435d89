import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.goals import GOALS, judge

SAMPLES = {
    "cqrsbus, uvloop": {"events/s": [30_000.0, 10_000.0, 20_000.0], "ask p50, one at a time": [1.0, 2.0, 3.0]},
    "nats-py, bytes": {"events/s": [10_000.0, 10_000.0, 10_000.0]},
}


def test_goal_and_figure_stand_side_by_side() -> None:
    head, rows = (grid := report.goals(judge(SAMPLES), SAMPLES)).head, grid.rows
    assert len(rows) == len(GOALS)
    first = dict(zip(head, rows[0], strict=True))
    assert (first["ours"], first["theirs"], first["goal"], first["ratio"]) == ("20,000", "10,000", "≥ 2", "2.00")
    assert (first["spread"], rows[0][-1]) == ("1.00 - 3.00", "met")


def test_only_what_was_measured_is_told() -> None:
    grid = report.comparison(SAMPLES)
    assert [row[0] for row in grid.rows] == ["cqrsbus, uvloop", "nats-py, bytes"]
    assert grid.rows[1][2] == ""
    assert [row[0] for row in report.latencies(SAMPLES).rows] == ["cqrsbus, uvloop"]


def test_imports_are_told_as_they_are_written() -> None:
    samples = {"import cqrsbus": {"ms": [16.0, 15.0, 30.0]}, "import pydantic": {"ms": [40.0, 38.0, 41.0]}}
    assert report.start_up(samples).rows == [("`import pydantic`", "40.0"), ("`import cqrsbus`", "16.0")]


def test_every_grid_has_its_place_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "performance.md").read_text("utf-8")
    for marks in ("short", "about", "systems", "latencies", "start-up", "goals"):
        assert 0 < page.find(f"<!-- begin:{marks} -->") < page.find(f"<!-- end:{marks} -->")


def test_a_grid_is_a_markdown_table() -> None:
    assert report.Grid("t", ("a", "b"), [("x", "1")]).as_markdown() == "| a | b |\n| --- | ---: |\n| x | 1 |\n"


def test_the_json_has_every_round() -> None:
    written: dict[str, Any] = json.loads(report.as_json(SAMPLES, judge(SAMPLES), {"date": "today"}))
    assert written["samples"] == SAMPLES
    assert written["goals"][0]["ratio"] == {"median": 2.0, "low": 1.0, "high": 3.0}
    assert written["goals"][1]["ratio"] is None


def test_a_page_keeps_what_is_around_the_figures(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- begin:x -->old<!-- end:x -->\nafter\n")
    for text in ("new\n", "newer\n"):
        report.replace_between(page, "x", text)
    assert page.read_text() == "before\n<!-- begin:x -->\n\nnewer\n\n<!-- end:x -->\nafter\n"
    with pytest.raises(ValueError, match="begin:y"):
        report.replace_between(page, "y", "")


def test_the_machine_and_the_versions_are_told() -> None:
    about = {
        "date": "2026-01-02T03:04:05+00:00",
        "commit": "abc",
        "python": "3.11",
        "system": "Linux",
        "processor": "some",
        "cores": 2,
        "load before": 0.5,
        "load after": 1.5,
        "versions": {"cqrsbus": "1.0", "anyio": "4.0"},
        "build": "compiled",
    }
    told = report.told(about)
    assert told.startswith("Measured 2026-01-02 03:04 UTC at commit `abc` on some, 2 cores, Linux, Python 3.11, ")
    assert "with cqrsbus 1.0 (compiled), anyio 4.0. " in told


def test_the_short_of_it_names_ratios_and_counts_goals() -> None:
    told = report.short(judge(SAMPLES))
    assert "published to handled, 1 to 1: **2.00 times** that of nats-py, bytes (more is better)" in told
    assert told.endswith(f"- 1 of {len(GOALS)} goals are met\n")
