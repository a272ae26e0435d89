"""The envelope: every field there and back, and each refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrsbus.errors import Code, ProtocolError
from cqrsbus.wire.envelope import (
    DEFAULT_CONTENT_TYPE,
    MAX_CONTENT_TYPE_LENGTH,
    MAX_ID_LENGTH,
    Envelope,
    check_envelope,
    decode_envelope,
    encode_envelope,
)
from cqrsbus.wire.header import Value, decode_header, encode_header

IDS = st.text(min_size=1, max_size=MAX_ID_LENGTH)
OTHER_IDS = st.just("") | IDS


@given(
    st.builds(
        Envelope,
        IDS,
        OTHER_IDS,
        OTHER_IDS,
        st.text(max_size=MAX_CONTENT_TYPE_LENGTH),
        st.dictionaries(st.text(), st.text()),
    )
)
def test_what_is_encoded_is_decoded(envelope: Envelope) -> None:
    assert decode_envelope(encode_envelope(envelope)) == envelope


def test_defaults_are_not_sent() -> None:
    assert decode_header(encode_envelope(Envelope("m", content_type=DEFAULT_CONTENT_TYPE))) == {"id": "m"}
    full = Envelope("m", "c", "p", "application/json", {"k": "v"})
    assert decode_header(encode_envelope(full)) == {
        "id": "m",
        "corr": "c",
        "cause": "p",
        "ct": "application/json",
        "hdr": {"k": "v"},
    }


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"corr": "c"},
        {"id": ""},
        {"id": 1},
        {"id": b"m"},
        {"id": None},
        {"id": "m" * (MAX_ID_LENGTH + 1)},
        {"id": "m", "corr": 1},
        {"id": "m", "corr": "c" * (MAX_ID_LENGTH + 1)},
        {"id": "m", "cause": None},
        {"id": "m", "cause": "c" * (MAX_ID_LENGTH + 1)},
        {"id": "m", "ct": b"json"},
        {"id": "m", "ct": "c" * (MAX_CONTENT_TYPE_LENGTH + 1)},
        {"id": "m", "hdr": None},
        {"id": "m", "hdr": ["a"]},
        {"id": "m", "hdr": "a"},
        {"id": "m", "hdr": {"a": 1}},
        {"id": "m", "hdr": {"a": {"b": "c"}}},
        {"id": "m", "unknown": 1},
    ],
)
def test_what_breaks_a_rule_is_a_bad_frame(fields: dict[str, Value]) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_envelope(encode_header(fields))
    assert caught.value.code == Code.BAD_FRAME


@given(st.binary(max_size=60) | st.builds(Envelope, st.text(min_size=1, max_size=40)).map(encode_envelope))
def test_what_is_passed_on_is_checked_as_if_it_were_read(data: bytes) -> None:
    complaints = list[str]()
    for check in (check_envelope, decode_envelope):
        try:
            check(data)
        except ProtocolError as error:
            complaints.append(str(error))
    assert len(set(complaints)) <= 1
    assert len(complaints) in (0, 2)
