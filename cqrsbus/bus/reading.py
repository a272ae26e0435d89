"""How what was delivered is read, and the answers to a query."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

from cqrsbus.bus.codec import NOT_READ, codec_for
from cqrsbus.bus.types import MessageType, message_type
from cqrsbus.cause import caused_by
from cqrsbus.errors import InvalidMessageError, ProtocolError
from cqrsbus.links.answer import Answer
from cqrsbus.links.deliveries import AnyDelivery
from cqrsbus.messages import answer_type

T = TypeVar("T")

Read: TypeAlias = Callable[[Answer], Any]


def read_delivery(delivery: AnyDelivery, into: MessageType[T]) -> T:
    """Read a message that was delivered.

    Args:
        delivery: As it came.
        into: What its handler declared.

    Raises:
        ProtocolError: It does not say what its body is.
        InvalidMessageError: Its body is of another type, or malformed.
    """
    return codec_for(delivery.content_type).decode(delivery.body, into)


def read_each(deliveries: Sequence[AnyDelivery], into: MessageType[Any]) -> list[object]:
    """Read some messages that came together; in the place of one that cannot be read is :data:`codec.NOT_READ`.

    Args:
        deliveries: As they came, at least one.
        into: What their handler declared.
    """
    try:
        codec = codec_for(deliveries[0].content_type)
    except (ProtocolError, InvalidMessageError):
        return [NOT_READ] * len(deliveries)
    return codec.decode_each([delivery.body for delivery in deliveries], into)


def reader(topic: str, message: object, returns: object) -> Read:
    """Return what reads the answers to a query.

    Args:
        topic: Its topic, for errors.
        message: The query.
        returns: The type of the answer; ``...`` for what the query's class says.

    Raises:
        InvalidMessageError: The type cannot be carried.
    """
    into = type_of_answer(message, returns)
    return lambda answer: read_answer(answer, into, topic)


def type_of_answer(message: object, returns: object) -> MessageType[Any]:
    """Return what the answers to a query are read as; see :func:`reader`."""
    # Every class can be looked up by; one type checker takes its instances for what is asked here.
    query: Any = type(message)
    return _declared(query) if returns is ... else message_type(returns)


def read_answer(answer: Answer, into: MessageType[Any], topic: str) -> Any:
    """Read an answer.

    Args:
        answer: As it came.
        into: The type it is to be.
        topic: The query's, for errors.

    Raises:
        InvalidMessageError: It is of another type, or malformed.
    """
    try:
        return codec_for(answer.content_type).decode(answer.body, into)
    except InvalidMessageError as error:
        reason = f"the answer: {error.reason}"
        raise caused_by(InvalidMessageError(reason, topic=topic, entries=error.entries), error.__cause__)


@lru_cache(maxsize=1024)
def _declared(query: type) -> MessageType[Any]:
    answer: Any = answer_type(query)
    return message_type(Any if answer is None else answer)
