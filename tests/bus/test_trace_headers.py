"""Which headers go from a message to what its handler sends."""

import pytest

from cqrsbus.bus.trace_headers import MOST_BYTES, carry_on

PARENT = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
STATE = {"tracestate": "congo=t61rcWkgMzE, rojo=00f067aa0ba902b7"}
BAGGAGE = {"baggage": "userId=am%C3%A9lie,isProduction=false;  p=1"}
OWN_PARENT = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"}


@pytest.mark.parametrize(
    ("received", "own", "sent"),
    [
        ({}, {}, {}),
        ({"tenant": "a"}, {}, {}),
        ({"tenant": "a"}, {"user": "b"}, {"user": "b"}),
        (PARENT | STATE | BAGGAGE | {"tenant": "a"}, {}, PARENT | STATE | BAGGAGE),
        (PARENT, {"user": "b"}, PARENT | {"user": "b"}),
        (PARENT | STATE | BAGGAGE, OWN_PARENT, OWN_PARENT | BAGGAGE),
        (PARENT | STATE, {"tracestate": "own=1"}, PARENT | {"tracestate": "own=1"}),
        (PARENT | BAGGAGE, {"baggage": ""}, PARENT | {"baggage": ""}),
        ({"Traceparent": "x"}, {}, {}),
        ({"traceparent": "not one"}, {}, {"traceparent": "not one"}),
    ],
)
def test_what_is_carried_on(received: dict[str, str], own: dict[str, str], sent: dict[str, str]) -> None:
    before = dict(received), dict(own)
    assert carry_on(received, own) == sent
    assert (received, own) == before


def test_what_does_not_fit_stays_behind() -> None:
    size = sum(len(value) for value in (PARENT | STATE).values())
    fits = {"baggage": "é" * ((MOST_BYTES - size) // 2)}
    assert carry_on(PARENT | STATE | fits, {}) == PARENT | STATE | fits
    assert carry_on(PARENT | STATE | {"baggage": fits["baggage"] + "éé"}, {}) == PARENT | STATE
    assert carry_on(PARENT | {"tracestate": "x" * MOST_BYTES} | BAGGAGE, {}) == PARENT | BAGGAGE
