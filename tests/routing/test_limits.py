"""The bounds, and what bounds them."""

from dataclasses import fields

import pytest

from cqrsbus.routing.limits import RoutingLimits


@pytest.mark.parametrize("name", [field.name for field in fields(RoutingLimits)])
@pytest.mark.parametrize("value", [0, -1])
def test_no_bound_may_be_nothing(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=name):
        RoutingLimits(**{name: value})


@pytest.mark.parametrize(("name", "most"), [("max_credit_messages", 65535), ("max_credit_bytes", 2**32 - 1)])
def test_credit_fits_into_a_head(name: str, most: int) -> None:
    assert getattr(RoutingLimits(**{name: most}), name) == most
    with pytest.raises(ValueError, match=name):
        RoutingLimits(**{name: most + 1})


@pytest.mark.parametrize(("most", "congested"), [(1, 1), (2, 1), (3, 1), (100, 50)])
def test_half_full_is_congested_and_empty_never_is(most: int, congested: int) -> None:
    limits = RoutingLimits(max_queue_messages=most, max_queue_bytes=most)
    assert limits.congested_messages == limits.congested_bytes == congested
