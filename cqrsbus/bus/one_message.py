"""What is done for each message around its handler, as far as nothing has to be waited for."""

from typing import Any

from cqrsbus.bus.codec import Codec
from cqrsbus.bus.context import Context, DeliveredContext, current_context
from cqrsbus.bus.handler_scope import HandlerScope
from cqrsbus.bus.reading import read_delivery
from cqrsbus.bus.types import MessageType
from cqrsbus.links.port import Delivery


def open_message(delivery: Delivery, scope: HandlerScope, into: MessageType[Any]) -> tuple[Context, Any]:
    """Make the context of a message the current one, and read the message; whoever runs the handler restores it.

    Args:
        delivery: The message as it came.
        scope: What its handler is to run in.
        into: What the handler declared.

    Raises:
        ProtocolError: It does not say what its body is.
        InvalidMessageError: Its body is of another type, or malformed.
    """
    context = DeliveredContext(delivery, scope)
    current_context.set(context)
    return context, read_delivery(delivery, into)


def answer_nowait(delivery: Delivery, codec: Codec, answer: object) -> bool:
    """Give a handler's one answer to its caller, unless that wants a stream, which may make us wait.

    Raises:
        InvalidMessageError: The answer cannot be carried.
    """
    if delivery.wants_stream:
        return False
    delivery.reply(codec.content_type, codec.encode(answer))
    return True
