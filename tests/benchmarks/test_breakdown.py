import pytest

from benchmarks.breakdown import grid, shares, stage


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("/x/cqrsbus/bus/codec.py:encode", "encode, decode, validate"),
        ("/x/cqrsbus/bus/caller.py:publish", "bus: call, dispatch, context"),
        ("/x/site-packages/anyio/_core/_tasks.py:run", "event loop"),
    ],
)
def test_a_place_belongs_to_a_stage(place: str, expected: str) -> None:
    assert stage(place) == expected


def test_the_cost_is_shared_out_by_what_was_seen() -> None:
    found = shares({"cqrsbus/wire/a.py:f": 2, "cqrsbus/wire/b.py:g": 1, "cqrsbus/routing/c.py:h": 1}, 8.0)
    assert found == {"frames: head and header": 6.0, "routing": 2.0}


def test_the_largest_part_comes_first_and_the_sum_last() -> None:
    cost = {"CPU µs": 6.0, "CPU µs publisher": 1.0, "CPU µs server": 2.0, "CPU µs handler": 3.0}
    parts = {"publisher": {"a": 1.0}, "server": {"b": 2.0}, "handler": {"b": 3.0}}
    assert grid(cost, parts).rows == [
        ("b", "", "2.00", "3.00", "5.00"),
        ("a", "1.00", "", "", "1.00"),
        ("together", "1.00", "2.00", "3.00", "6.00"),
    ]
