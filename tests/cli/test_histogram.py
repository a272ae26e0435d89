from itertools import pairwise

import pytest

from cqrsbus.cli.histogram import Histogram


def test_percentiles_are_right_to_nine_per_cent() -> None:
    histogram = Histogram()
    for number in range(1, 10_001):
        histogram.add(number / 1e6)
    for share in (0.5, 0.9, 0.99, 0.999):
        exact = share * 10_000 / 1e6
        assert exact <= histogram.percentile(share) <= exact * 1.1
    assert (histogram.count, histogram.least, histogram.most) == (10_000, 1e-6, 0.01)
    assert histogram.percentile(1) == histogram.most


def test_nothing_counted() -> None:
    histogram = Histogram()
    assert (histogram.percentile(0.5), list(histogram.rows())) == (0, [])


def test_the_rows_have_no_holes_and_all_that_was_counted() -> None:
    histogram = Histogram()
    for seconds in (0.001, 0.001, 0.1):
        histogram.add(seconds)
    rows = list(histogram.rows())
    assert sum(row.many for row in rows) == 3
    assert 0 in {row.many for row in rows}
    assert all(later.below == earlier.below * 2 for earlier, later in pairwise(rows))
    assert histogram.percentile(0.5) == pytest.approx(0.001, rel=0.1)


def test_a_clock_that_stood_still_does_no_harm() -> None:
    histogram = Histogram()
    histogram.add(0.0)
    assert histogram.percentile(0.5) == 0
