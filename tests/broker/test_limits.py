"""Limits that could not work are refused when they are made."""

import math

import pytest

from cqrsbus import BrokerLimits
from cqrsbus.broker.limits import MAX_FRAME, MAX_HEADER, MIN_FRAME, MIN_HEADER


@pytest.mark.parametrize("size", [MIN_FRAME - 1, MAX_FRAME + 1, 0, -1])
def test_the_frame_has_bounds(size: int) -> None:
    with pytest.raises(ValueError, match=f"max_frame is {size} bytes"):
        BrokerLimits(max_frame=size)


@pytest.mark.parametrize(
    "name", ["max_connections", "max_opening", "max_outbox", "handshake_timeout", "heartbeat", "write_timeout"]
)
def test_what_must_be_positive(name: str) -> None:
    for value in (0, math.nan):
        with pytest.raises(ValueError, match=f"{name} is {value}"):
            BrokerLimits(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [MIN_HEADER - 1, MAX_HEADER + 1, 0, -1])
def test_the_header_has_bounds(size: int) -> None:
    with pytest.raises(ValueError, match=f"max_header is {size} bytes"):
        BrokerLimits(max_header=size)


@pytest.mark.parametrize(("outbox", "most"), [(1, 10_000), (9_999, 10_000), (10_001, 10_001)])
def test_two_of_the_largest_frames_may_wait(outbox: int, most: int) -> None:
    assert BrokerLimits(max_frame=5_000, max_outbox=outbox).most_waiting == most


@pytest.mark.parametrize("seconds", [-1, math.nan])
def test_draining_takes_no_negative_time(seconds: float) -> None:
    with pytest.raises(ValueError, match=f"drain_timeout is {seconds}"):
        BrokerLimits(drain_timeout=seconds)


def test_the_defaults_are_the_documented_ones() -> None:
    limits = BrokerLimits()
    assert (limits.max_connections, limits.max_opening) == (1000, 64)
    assert (limits.max_frame, limits.max_outbox) == (1024 * 1024, 8 * 1024 * 1024)
    assert (limits.heartbeat, limits.dead_after, limits.handshake_timeout) == (5, 12.5, 5)
