"""Origins: each message's envelope as if it had been written by itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrsbus.errors import ProtocolError
from cqrsbus.wire.envelope import Envelope, decode_envelope, encode_envelope
from cqrsbus.wire.origin import NUMBERS, Origin, number_in, numbered

ENVELOPES = st.builds(
    Envelope,
    st.text("0123456789abcdefXYZ-", max_size=40),
    st.sampled_from(["", "c-1", "000000000000"]),
    st.sampled_from(["", "m-1"]),
    st.sampled_from(["application/msgpack", "application/json"]),
    st.sampled_from([{}, {"tenant": "7"}, {"000000000000": "000000000000"}]),
)
NUMBER = st.integers(0, NUMBERS - 1)


@given(ENVELOPES, NUMBER)
def test_a_header_is_that_of_its_envelope(envelope: Envelope, number: int) -> None:
    origin = Origin(envelope)
    described = origin.envelope_of(number)
    assert described == envelope._replace(message_id=described.message_id)
    assert described.message_id.startswith(envelope.message_id)
    assert origin.header(number) == encode_envelope(described)
    assert origin.header_size == len(origin.header(number))
    assert decode_envelope(origin.header(number)) == described
    assert number_in(described.message_id) == number


@given(ENVELOPES, st.integers(0, NUMBERS - 300), st.integers(0, 255))
def test_what_comes_so_many_later_is_numbered_so(envelope: Envelope, number: int, further: int) -> None:
    origin = Origin(envelope)
    assert numbered(origin.envelope_of(number), further) == origin.envelope_of(number + further)


@given(ENVELOPES, ENVELOPES)
def test_the_same_is_whose_messages_say_the_same(one: Envelope, other: Envelope) -> None:
    assert Origin(one).same(Origin(other)) == (one == other)


@pytest.mark.parametrize("message_id", ["m-1", "0" * 11, "00000000000A", "+00000000001", "0x0000000001", "١" * 12])
def test_an_id_without_a_number(message_id: str) -> None:
    with pytest.raises(ProtocolError, match="12 hexadecimal digits"):
        number_in(message_id)
