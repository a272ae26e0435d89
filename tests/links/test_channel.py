"""What a broker's WELCOME says, and what it may not say."""

import pytest

from cqrsbus.errors import Code, ProtocolError
from cqrsbus.links.channel import Terms
from cqrsbus.wire.frames import MAX_U32, Frame, Kind
from cqrsbus.wire.header import encode_header
from tests.links.fakes import TERMS


def welcome(**fields: object) -> Frame:
    said = {key: value for key, value in {**TERMS, **fields}.items() if value is not None}
    return Frame.of(Kind.WELCOME, header=encode_header(said))  # type: ignore[arg-type]


def test_the_terms_are_what_the_broker_said() -> None:
    assert Terms.of(welcome()) == Terms(60.0, 65536, 8192, 65536, 16)


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert Terms.of(welcome(colour="blue", more=(1, 2))) == Terms.of(welcome())


@pytest.mark.parametrize("name", sorted(TERMS))
@pytest.mark.parametrize(
    "value", [None, "1", b"1", -1, MAX_U32 + 1, float("nan"), float("inf"), (1,), {"a": 1}], ids=repr
)
def test_each_term_is_a_number_within_bounds(name: str, value: object) -> None:
    with pytest.raises(ProtocolError, match=f"the welcome's '{name}'") as caught:
        Terms.of(welcome(**{name: value}))
    assert caught.value.code == Code.BAD_FRAME


def test_the_bounds_themselves_are_within() -> None:
    terms = Terms.of(welcome(heartbeat=0, max_frame=MAX_U32))
    assert (terms.heartbeat, terms.max_frame) == (0, MAX_U32)


def test_a_heartbeat_that_would_leave_no_time_for_anything_else_is_refused() -> None:
    with pytest.raises(ProtocolError, match="the welcome's 'heartbeat' is less than"):
        Terms.of(welcome(heartbeat=1e-9))
    assert Terms.of(welcome(heartbeat=0.01)).heartbeat == 0.01
