"""Transport URLs are read as written, and what is wrong with a bad one is said."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrsbus.transports.url import Address, format_url, is_loopback, parse_url, redact


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("tcp://127.0.0.1:9100", Address("tcp", host="127.0.0.1", port=9100)),
        ("tcp://broker.example:0", Address("tcp", host="broker.example", port=0)),
        ("tcp://[::1]:9100", Address("tcp", host="::1", port=9100)),
        ("tcp://[fe80::1%eth0]:65535", Address("tcp", host="fe80::1%eth0", port=65535)),
        ("unix:///run/bus.sock", Address("unix", path="/run/bus.sock")),
        ("unix://bus.sock", Address("unix", path="bus.sock")),
        ("unix:///a%20b%3F+c", Address("unix", path="/a b?+c")),
        ("unix:///s?mode=660", Address("unix", path="/s", options={"mode": "660"})),
        ("unix:///s?", Address("unix", path="/s")),
        ("memory:", Address("memory")),
        ("memory:a.b-c_1", Address("memory", name="a.b-c_1")),
        ("tcp://h:1?a=1&b=x%26y", Address("tcp", host="h", port=1, options={"a": "1", "b": "x&y"})),
    ],
)
def test_good_urls(url: str, address: Address) -> None:
    assert parse_url(url) == address
    assert parse_url(format_url(address)) == address


@pytest.mark.parametrize(
    ("url", "saying"),
    [
        ("", "expected tcp://HOST:PORT, unix:///PATH, memory:NAME"),
        ("127.0.0.1:9100", "is not a transport URL"),
        ("localhost", "is not a transport URL"),
        ("http://localhost:80", "is not a transport URL"),
        ("tcp", "is not a transport URL"),
        ("tls://h:1", "tls:// is not available in this version"),
        ("nats://h:1", "nats:// is not available in this version"),
        ("tcp:h:1", "'//' is missing"),
        ("tcp://", "the port is missing; expected tcp://HOST:PORT"),
        ("tcp://h", "the port is missing"),
        ("tcp://h:", "the port is missing"),
        ("tcp://[::1]", "the port is missing"),
        ("tcp://:1", "the host is missing"),
        ("tcp://h:x", "a number from 0 to 65535"),
        ("tcp://h:-1", "a number from 0 to 65535"),
        ("tcp://h:65536", "a number from 0 to 65535"),
        ("tcp://h:\u0661", "a number from 0 to 65535"),
        ("tcp://h:1/path", "a number from 0 to 65535"),
        ("tcp://::1:9100", "must stand in brackets"),
        ("tcp://[h]:1", "there must be an IPv6 address"),
        ("tcp://a b:1", "not a name or an address"),
        ("tcp://a/b:1", "not a name or an address"),
        ("unix:", "'//' is missing"),
        ("unix://", "the path is missing"),
        ("unix:///a%00b", "NUL"),
        ("memory://x", "the name may have"),
        ("memory:a b", "the name may have"),
        ("tcp://h:1?x", "key=value"),
        ("tcp://h:1?x=1&x=2", "twice"),
    ],
)
def test_bad_urls_are_refused_with_a_reason(url: str, saying: str) -> None:
    with pytest.raises(ValueError, match=re.escape(saying)) as caught:
        parse_url(url)
    assert repr(url) in str(caught.value)


@pytest.mark.parametrize("url", ["tcp://ann:hunter2@h:1", "nats://ann:hunter2@h:1", "http://ann:hunter2@h"])
def test_a_password_is_never_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"\*\*\*@h") as caught:
        parse_url(url)
    assert "hunter2" not in str(caught.value)
    assert redact("tcp://h:1") == "tcp://h:1"


paths = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
options = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text(), max_size=3)
ports = st.integers(0, 65535)
addresses = st.one_of(
    st.builds(Address, st.just("unix"), path=paths, options=options),
    st.builds(Address, st.just("tcp"), host=st.ip_addresses().map(str), port=ports, options=options),
    st.builds(Address, st.just("tcp"), host=st.from_regex(r"[a-z0-9.-]+", fullmatch=True), port=ports),
    st.builds(Address, st.just("memory"), name=st.from_regex(r"[A-Za-z0-9._-]*", fullmatch=True), options=options),
)


@given(addresses)
def test_what_is_written_is_read_back(address: Address) -> None:
    assert parse_url(format_url(address)) == address


@given(st.one_of(st.text(), st.text().map("tcp://".__add__), st.text().map("unix://".__add__)))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        address = parse_url(text)
    except ValueError:
        return
    assert parse_url(format_url(address)) == address


def test_a_path_that_is_not_utf8_survives() -> None:
    address = parse_url("unix:///%ff")
    assert address.path == "/\udcff"
    assert format_url(address) == "unix:///%FF"


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("tcp://127.0.0.1:1", True),
        ("tcp://127.9.9.9:1", True),
        ("tcp://[::1]:1", True),
        ("tcp://[::ffff:127.0.0.1]:1", True),
        ("tcp://LocalHost:1", True),
        ("unix:///s", True),
        ("memory:", True),
        ("tcp://0.0.0.0:1", False),
        ("tcp://[::]:1", False),
        ("tcp://10.0.0.1:1", False),
        ("tcp://[::ffff:10.0.0.1]:1", False),
        ("tcp://localhost.example:1", False),
    ],
)
def test_loopback(url: str, loopback: bool) -> None:
    assert is_loopback(parse_url(url)) is loopback


def test_an_address_is_hashable() -> None:
    assert len({parse_url("tcp://h:1?a=1"), parse_url("tcp://h:1?a=1")}) == 1
