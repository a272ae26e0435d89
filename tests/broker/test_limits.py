"""Limits that could not work are refused when they are made."""

import pytest

from cqrsbus import BrokerLimits
from cqrsbus.broker.limits import MAX_FRAME, MIN_FRAME


@pytest.mark.parametrize("size", [MIN_FRAME - 1, MAX_FRAME + 1, 0, -1])
def test_the_frame_has_bounds(size: int) -> None:
    with pytest.raises(ValueError, match=f"max_frame is {size} bytes"):
        BrokerLimits(max_frame=size)


@pytest.mark.parametrize("name", ["max_connections", "max_opening", "handshake_timeout", "heartbeat", "write_timeout"])
def test_what_must_be_positive(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0"):
        BrokerLimits(**{name: 0})  # type: ignore[arg-type]


def test_the_defaults_are_the_documented_ones() -> None:
    limits = BrokerLimits()
    assert (limits.max_connections, limits.max_opening) == (1000, 64)
    assert (limits.max_frame, limits.max_outbox) == (1024 * 1024, 8 * 1024 * 1024)
    assert (limits.heartbeat, limits.dead_after, limits.handshake_timeout) == (5, 12.5, 5)
