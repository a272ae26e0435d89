"""What a handler is told of its message."""

import pytest

from cqrsbus.bus.incoming import context_of
from cqrsbus.errors import ProtocolError
from cqrsbus.wire.envelope import Envelope
from tests.bus.deliveries import FakeDelivery, delivery


def test_everything_that_is_known() -> None:
    envelope = Envelope("m-2", "m-1", "m-0", headers={"tenant": "7"})
    context = context_of(delivery(envelope=envelope, topic="b.c", deadline=12.5))
    assert (context.message_id, context.correlation_id, context.causation_id) == ("m-2", "m-1", "m-0")
    assert (context.topic, context.sender, context.attempt, context.deadline) == ("b.c", "sender", 1, 12.5)
    assert context.headers == {"tenant": "7"}


def test_the_first_of_a_chain() -> None:
    context = context_of(delivery(envelope=Envelope("m-1")))
    assert (context.correlation_id, context.causation_id, context.headers) == ("m-1", None, {})


def test_nothing_intelligible() -> None:
    with pytest.raises(ProtocolError):
        context_of(FakeDelivery())
