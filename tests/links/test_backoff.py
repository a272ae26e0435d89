"""Pauses grow, are drawn evenly from the whole range, and start over."""

import pytest

from cqrsbus.links.backoff import FullJitter


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """The ranges that pauses are drawn from."""
    ranges: list[tuple[float, float]] = []

    def draw(low: float, high: float) -> float:
        ranges.append((low, high))
        return high / 2

    monkeypatch.setattr("cqrsbus.links.backoff.random.uniform", draw)
    return ranges


def test_the_range_doubles_up_to_the_cap(drawn: list[tuple[float, float]]) -> None:
    backoff = FullJitter()
    pauses = [backoff.next_pause() for _ in range(10)]
    assert drawn == [(0, high) for high in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10)]
    assert pauses == [high / 2 for _, high in drawn]


def test_it_starts_over(drawn: list[tuple[float, float]]) -> None:
    backoff = FullJitter(base=1, cap=3)
    for _ in range(3):
        backoff.next_pause()
    backoff.reset()
    backoff.next_pause()
    assert drawn == [(0, 1), (0, 2), (0, 3), (0, 1)]


def test_it_may_go_on_for_ever(drawn: list[tuple[float, float]]) -> None:
    backoff = FullJitter()
    for _ in range(5000):
        backoff.next_pause()
    assert drawn[-1] == (0, 10)
