"""What a delivery tells of its message."""

from cqrsbus.bus.context import Context
from cqrsbus.bus.handler_scope import HandlerScope
from cqrsbus.links.port import Delivery


def context_of(delivery: Delivery, scope: HandlerScope | None = None) -> Context:
    """Make the context of a delivered message.

    Args:
        delivery: The message.
        scope: What its handler is to run in.

    Raises:
        ProtocolError: Its header is unintelligible.
    """
    envelope = delivery.envelope
    return Context(
        envelope.message_id,
        delivery.topic,
        delivery.sender,
        envelope.correlation_id,
        envelope.causation_id or None,
        envelope.headers,
        delivery.attempt,
        delivery.deadline,
        scope,
    )
