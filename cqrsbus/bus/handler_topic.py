"""What a handler's topic is.

- It is the decorator's; without one, that of the message's class. Where both are given and differ, the decorator
  wins: the class says where its instances are sent by default, the decorator what this handler hears.
- Wildcards are for events alone: a command or a query has one owner per topic, which a pattern cannot tell.
"""

from dataclasses import replace

from cqrsbus.bus.annotations import bare
from cqrsbus.bus.callables import an, place
from cqrsbus.bus.handler import Handler, HandlerKind
from cqrsbus.errors import InvalidTopicError, TopologyError
from cqrsbus.topics import is_pattern, join, topic_of, validate_pattern


def chosen_topic(kind: HandlerKind, topic: str | None, annotation: object, where: str) -> str:
    """Return what a handler hears.

    Args:
        kind: Which verb it answers.
        topic: What its decorator was given.
        annotation: The declared type of its message.
        where: The handler, for the text of the error.

    Raises:
        TopologyError: It has no topic, or it is malformed, or a pattern where none may be.
    """
    if topic is None:
        topic = _topic_of_class(annotation)
    if topic is None:
        raise TopologyError(
            f"{where} has no topic: write @group.{kind.value}_handler('a.topic'), "
            f"or give its message's class one with topic="
        )
    return _checked_topic(kind, topic, where)


def _topic_of_class(annotation: object) -> str | None:
    message = bare(annotation)
    return topic_of(message) if isinstance(message, type) else None


def _checked_topic(kind: HandlerKind, topic: str, where: str) -> str:
    try:
        validate_pattern(topic)
    except InvalidTopicError as error:
        raise InvalidTopicError(f"{where}: {error.reason}") from None
    if kind is not HandlerKind.EVENT and is_pattern(topic):
        raise InvalidTopicError(
            f"{where} is {an(kind.value)} handler, and only event handlers may have wildcards: name one topic",
            topic=topic,
        )
    return topic


def prefixed(handler: Handler, prefix: str) -> Handler:
    """Return the handler with a prefix before its topic.

    Raises:
        InvalidTopicError: The two make no topic.
    """
    try:
        return replace(handler, topic=join(prefix, handler.topic))
    except InvalidTopicError as error:
        raise InvalidTopicError(f"{handler} with the prefix {prefix!r}: {error.reason}") from None


def refuse_bare(kind: HandlerKind, topic: object) -> None:
    """Raise TypeError if a decorator was given something else than a topic, most likely the function itself."""
    if topic is None or isinstance(topic, str):
        return
    decorator = f"{kind.value}_handler"
    if callable(topic):
        raise TypeError(f"write @group.{decorator}() with parentheses above {place(topic)}")
    raise TypeError(f"the topic given to {decorator} is a str or None, not {topic!r}")
