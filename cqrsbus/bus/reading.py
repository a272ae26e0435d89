"""How the answers to a query are read."""

from collections.abc import Callable
from typing import Any, TypeAlias

from cqrsbus.bus.codec import codec_for
from cqrsbus.bus.types import message_type
from cqrsbus.errors import InvalidMessageError
from cqrsbus.links.port import Answer
from cqrsbus.messages import answer_type

Read: TypeAlias = Callable[[Answer], Any]


def reader(topic: str, message: object, returns: object) -> Read:
    """Return what reads the answers to a query.

    Args:
        topic: Its topic, for errors.
        message: The query.
        returns: The type of the answer; ``...`` for what the query's class says.

    Raises:
        InvalidMessageError: The type cannot be carried.
    """
    into = message_type(_annotation(message) if returns is ... else returns)

    def read(answer: Answer) -> Any:
        try:
            return codec_for(answer.content_type).decode(answer.body, into)
        except InvalidMessageError as error:
            reason = f"the answer: {error.reason}"
            raise InvalidMessageError(reason, topic=topic, entries=error.entries) from error.__cause__

    return read


def _annotation(message: object) -> object:
    answer: object = answer_type(type(message))
    return Any if answer is None else answer
