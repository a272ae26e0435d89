import pytest

from benchmarks.figures import Record, percentiles, ratios, spread


def test_percentiles_are_values_that_were_seen() -> None:
    assert percentiles([float(number) for number in range(1000, 0, -1)]) == {
        "p50": 501.0,
        "p90": 901.0,
        "p99": 991.0,
        "p99.9": 1000.0,
    }
    assert set(percentiles([3.0]).values()) == {3.0}


def test_a_spread_has_the_middle_and_the_ends() -> None:
    found = spread([4.0, 1.0, 9.0])
    assert (found.median, found.low, found.high, found.rounds) == (4.0, 1.0, 9.0, 3)


def test_ratios_compare_within_a_round() -> None:
    # The machine was ten times slower in the second round: the ratio is the same.
    found = ratios([20.0, 2.0], [10.0, 1.0])
    assert (found.low, found.median, found.high) == (2.0, 2.0, 2.0)


def test_nothing_has_no_figures() -> None:
    for of_nothing in (percentiles, spread):
        with pytest.raises(ValueError, match="there are no"):
            of_nothing([])
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])


def test_a_record_keeps_the_rounds_in_order() -> None:
    record = Record()
    record.add("ours", rate=1.0)
    record.add("ours", rate=2.0, cost=3.0)
    assert record.samples == {"ours": {"rate": [1.0, 2.0], "cost": [3.0]}}
