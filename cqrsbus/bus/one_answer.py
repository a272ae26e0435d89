"""The one answer of a handler, given without waiting. It is apart from what waits, so that it can be compiled."""

from cqrsbus.bus.codec import Codec
from cqrsbus.links.deliveries import AnyDelivery


def answer_nowait(delivery: AnyDelivery, codec: Codec, answer: object) -> bool:
    """Give a handler's one answer to its caller, unless that wants a stream, which may make us wait.

    Raises:
        InvalidMessageError: The answer cannot be carried.
    """
    if delivery.wants_stream:
        return False
    delivery.reply(codec.content_type, codec.encode(answer))
    return True
