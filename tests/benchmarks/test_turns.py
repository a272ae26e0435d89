"""Contenders in turn: each as often as every other, and their bursts as one figure."""

from collections.abc import Callable

from benchmarks.figures import Record
from benchmarks.workloads.turns import BURSTS, Burst, Contender, joined, take_turns


def test_all_who_can_take_turns_kind_by_kind() -> None:
    order, record = list[str](), Record()

    def work(name: str) -> Callable[[], Burst]:
        def burst() -> Burst:
            order.append(name)
            return Burst({"rate": float(len(order))})

        return burst

    both = Contender("a", {"events": work("a"), "asks": work("a asks")})
    one = Contender("b", {"events": work("b")})
    take_turns([both, one], ["events", "asks"], record)
    assert order == ["a", "b", "b", "a"] * (BURSTS // 2) + ["a asks"] * BURSTS
    assert {name: list(figures) for name, figures in record.samples.items()} == {"a": ["rate"], "b": ["rate"]}


def test_of_figures_the_median_of_latencies_the_percentiles_of_all() -> None:
    bursts = [Burst({"rate": value}, {"ask one at a time": [value, 10 * value]}) for value in (3.0, 1.0, 8.0)]
    assert joined(bursts) == {
        "rate": 3.0,
        "ask p50, one at a time": 10.0,
        "ask p90, one at a time": 80.0,
        "ask p99, one at a time": 80.0,
        "ask p99.9, one at a time": 80.0,
    }
