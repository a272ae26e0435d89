"""HELLO is read with suspicion, WELCOME says what the client must know."""

import pytest

from cqrsbus import BrokerLimits, ProtocolError
from cqrsbus.broker.greeting import new_broker_id, read_hello, welcome
from cqrsbus.links.channel import Terms
from cqrsbus.wire.frames import Frame, Kind
from cqrsbus.wire.header import encode_header
from tests.broker.raw import hello


def test_a_hello_says_who_connects() -> None:
    read = read_hello(hello(service="a.b-c_1", instance="i", product="p"))
    assert (read.service, read.instance, read.product) == ("a.b-c_1", "i", "p")


@pytest.mark.parametrize(
    "fields",
    [
        {"service": ""},
        {"service": "a b"},
        {"service": "x" * 65},
        {"service": "ä"},
        {"instance": ""},
        {"instance": "a\r\nb"},
        {"instance": "\x1b[2J"},
        {"product": "x" * 65},
        {"unknown": "x"},
    ],
)
def test_what_is_no_name_is_refused_and_not_repeated(fields: dict[str, str]) -> None:
    with pytest.raises(ProtocolError) as caught:
        read_hello(hello(**fields))
    assert not any(len(value) > 1 and value in str(caught.value) for value in fields.values() if value != "x")


@pytest.mark.parametrize("missing", ["service", "instance"])
def test_names_are_required(missing: str) -> None:
    fields = {"service": "s", "instance": "i"}
    del fields[missing]
    with pytest.raises(ProtocolError, match=missing):
        read_hello(Frame.of(Kind.HELLO, header=encode_header(fields)))


def test_a_client_reads_what_the_broker_welcomes_it_with() -> None:
    limits = BrokerLimits(max_frame=8192, heartbeat=0.5)
    terms = Terms.of(welcome(limits, 7, new_broker_id()))
    assert (terms.max_frame, terms.heartbeat) == (8192, 0.5)
    assert terms.publish_window == limits.routing.publish_window


def test_each_run_of_a_broker_has_a_name_of_its_own() -> None:
    assert new_broker_id() != new_broker_id()
