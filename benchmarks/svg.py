"""The picture of a run: bars, one panel for each figure, ours in the colour of the documentation."""

from collections.abc import Mapping
from html import escape
from typing import NamedTuple

from benchmarks import systems
from benchmarks.figures import Samples, spread

_WIDTH, _LEFT, _RIGHT, _BAR, _GAP, _HEAD = 800, 170, 110, 18, 8, 44

_STYLE = """\
    text { font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
    .b { font-weight: 600; font-size: 14px; }
    .s { font-size: 12px; fill: #57606a; }
    .e { text-anchor: end; }
    .card { fill: #ffffff; stroke: #d0d7de; }
    .ours { fill: #3f51b5; }
    .theirs { fill: #c77700; fill-opacity: .55; }
    .ends { stroke: #57606a; stroke-width: 1.5; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .s { fill: #9da7b3; }
      .card { fill: #1b1f2a; stroke: #3d444d; }
      .ours { fill: #8c9eff; }
      .theirs { fill: #ffb74d; fill-opacity: .5; }
      .ends { stroke: #9da7b3; }
    }
"""


class Panel(NamedTuple):
    """One figure of several systems.

    Args:
        title: What it says on top.
        bars: The rounds' values by system.
    """

    title: str
    bars: Mapping[str, list[float]]


def panels(samples: Samples) -> list[Panel]:
    """The panels that a run has values for."""
    figures = {
        "events/s": "Events a second, one publisher to one handler (more is better)",
        "asks/s, 128 in flight": "Asks a second, 128 in flight (more is better)",
        "ask p50, one at a time": "Median of one ask at a time, µs (less is better)",
        "CPU µs": "CPU µs per event, all processes together (less is better)",
    }
    return [
        Panel(title, bars)
        for figure, title in figures.items()
        if (bars := {name: list(got[figure]) for name in systems.names() if figure in (got := samples.get(name, {}))})
    ]


def draw(all_panels: list[Panel], caption: str) -> str:
    """Draw the panels below each other, bars for the medians, whiskers from the least to the most."""
    parts, y = list[str](), 20
    for panel in all_panels:
        parts.append(_draw_panel(panel, y))
        y += _HEAD + len(panel.bars) * (_BAR + _GAP) + 12
    height = y + 24
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" aria-labelledby="t">\n  <title id="t">{escape(caption)}</title>\n  <style>\n{_STYLE}  </style>\n'
        f'  <rect class="card" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="10"/>\n'
        f'{"".join(parts)}  <text class="s" x="20" y="{height - 16}">{escape(caption)}</text>\n</svg>\n'
    )


def _draw_panel(panel: Panel, y: int) -> str:
    most = max(value for values in panel.bars.values() for value in values)
    rows = [f'  <text class="b" x="20" y="{y + 22}">{escape(panel.title)}</text>\n']
    for number, (name, values) in enumerate(panel.bars.items()):
        rows.append(_draw_bar(name, values, most, y + _HEAD - 8 + number * (_BAR + _GAP)))
    return "".join(rows)


def _draw_bar(name: str, values: list[float], most: float, y: int) -> str:
    space, middle = _WIDTH - _LEFT - _RIGHT, y + _BAR / 2
    of = spread(values)
    median, low, high = (value / most * space for value in (of.median, of.low, of.high))
    kind = "ours" if name.startswith("cqrsbus") else "theirs"
    text = f"{of.median:,.0f}" if of.median >= 100 else f"{of.median:.1f}"
    return (
        f'  <text class="e" x="{_LEFT - 8}" y="{middle + 4:g}">{escape(name)}</text>\n'
        f'  <rect class="{kind}" x="{_LEFT}" y="{y}" width="{median:.1f}" height="{_BAR}" rx="2"/>\n'
        f'  <path class="ends" d="M{_LEFT + low:.1f} {middle:g}H{_LEFT + high:.1f}"/>\n'
        f'  <text class="s" x="{_LEFT + high + 8:.1f}" y="{middle + 4:g}">{text}</text>\n'
    )
