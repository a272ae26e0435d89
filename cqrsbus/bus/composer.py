"""How a call becomes a message: which topic, which codec, and what the envelope says."""

import os
import re
import secrets
import socket
from collections.abc import Mapping
from typing import Final

from cqrsbus.bus.codec import Codec
from cqrsbus.bus.context import Context, current_context
from cqrsbus.bus.trace_headers import carry_on
from cqrsbus.cause import caused_by
from cqrsbus.errors import InvalidMessageError, InvalidTopicError
from cqrsbus.links.outgoing import Outgoing
from cqrsbus.topics import topic_of, validate_topic
from cqrsbus.wire.envelope import MAX_ID_LENGTH, NO_HEADERS, Envelope
from cqrsbus.wire.origin import Origin

#: So many topics are known to be valid, and so many classes to have one, before they are looked at anew.
_MAX_REMEMBERED: Final = 1024
#: The topics of classes whose instances were sent: to ask an instance for its own takes longer.
_TOPICS: Final[dict[type, str]] = {}


class Composer:
    """Composes the messages of one bus.

    Args:
        codec: What bodies are written with.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._content_type = codec.content_type
        # One random prefix per bus and a counter: unique, and much cheaper than a UUID for each message.
        self._prefix = secrets.token_hex(8)
        self._number = 0
        self._origin = Origin(Envelope(self._prefix, content_type=codec.content_type))
        self._last_within: tuple[Context | None, Origin] = None, self._origin
        self._checked: set[str] = set()

    def compose(
        self, topic: str, message: object, headers: Mapping[str, str] | None, message_id: str | None
    ) -> Outgoing:
        """Make the message of one call.

        Args:
            topic: Where it goes.
            message: What is said.
            headers: The application's own pairs; those of a trace are taken over from the message being handled.
            message_id: Its id; None makes a new one.

        Raises:
            InvalidTopicError: The topic is malformed.
            InvalidMessageError: The message cannot be encoded, or the headers or the id are not what they should be.
        """
        body = self.encode(topic, message)
        if message_id is not None:
            checked = _checked_id(message_id, topic)
            return Outgoing(topic, self._envelope(checked, topic, current_context.get(), headers), body)
        return Outgoing(topic, None, body, self.origin(topic, headers), self.next_number())

    def encode(self, topic: str, message: object) -> bytes:
        """Write the body of what goes to a topic; see :meth:`compose`."""
        if topic not in self._checked:
            self._remember(validate_topic(topic))
        try:
            return self._codec.encode(message)
        except InvalidMessageError as error:
            error.topic = topic
            raise

    def origin(self, topic: str, headers: Mapping[str, str] | None) -> Origin:
        """What a message says of itself that has no id of its own; see :meth:`compose`."""
        context = current_context.get()
        if headers is not None:
            return Origin(self._envelope(self._prefix, topic, context, headers))
        return self._origin if context is None else self._origin_within(context, topic)

    def next_number(self) -> int:
        """The number of the next message that has no id of its own."""
        self._number += 1
        return self._number

    def _origin_within(self, context: Context, topic: str) -> Origin:
        """What messages say of themselves that are sent by the handler of another one; most often several in turn."""
        handled, origin = self._last_within
        if handled is not context:
            origin = Origin(self._envelope(self._prefix, topic, context, None))
            self._last_within = context, origin
        return origin

    def _envelope(
        self, message_id: str, topic: str, context: Context | None, headers: Mapping[str, str] | None
    ) -> Envelope:
        own = NO_HEADERS if headers is None else _checked_headers(headers, topic)
        return Envelope(
            message_id,
            context.correlation_id if context is not None else "",
            context.message_id if context is not None else "",
            self._content_type,
            carry_on(context.headers, own) if context is not None else own,
        )

    def _remember(self, topic: str) -> None:
        if len(self._checked) >= _MAX_REMEMBERED:
            self._checked.clear()
        self._checked.add(topic)


def split(target: object, message: object, verb: str) -> tuple[str, object]:
    """Tell the two forms of a call apart: a topic and a message, or a message that knows its topic.

    Args:
        target: The call's first argument.
        message: The second one; ``...`` if there is none.
        verb: The call's name, for the text of the error.

    Raises:
        InvalidTopicError: The message knows no topic.
    """
    if isinstance(target, str):
        return target, None if message is ... else message
    if message is not ...:
        raise TypeError(f"bus.{verb}() takes a message, or a topic and a message; the first argument is no str")
    topic = _TOPICS.get(type(target)) or _topic_of(target)
    if topic is None:
        name = type(target).__name__
        raise InvalidTopicError(
            f"{name} has no topic: write bus.{verb}('a.topic', message), or class {name}(..., topic='a.topic')"
        )
    return topic, target


def _topic_of(message: object) -> str | None:
    """The topic of a message, which is remembered if it is that of its class."""
    kind = type(message)
    topic = topic_of(kind)
    if topic is None:
        return topic_of(message)
    if len(_TOPICS) >= _MAX_REMEMBERED:
        _TOPICS.clear()
    _TOPICS[kind] = topic
    return topic


def new_instance_name() -> str:
    """A name for this process' bus among those of its service: host, process and a random end, at most 64 letters."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:32]
    return f"{host}-{os.getpid()}-{secrets.token_hex(4)}"


def _checked_id(message_id: str, topic: str) -> str:
    if not 1 <= len(message_id) <= MAX_ID_LENGTH:
        raise InvalidMessageError(f"a message id has 1 to {MAX_ID_LENGTH} characters", topic=topic)
    _check_text(message_id, "the message id", topic)
    return message_id


def _checked_headers(headers: Mapping[str, str], topic: str) -> Mapping[str, str]:
    pairs: list[tuple[object, object]] = list(headers.items())
    for key, value in pairs:
        if not isinstance(key, str) or not isinstance(value, str):
            raise InvalidMessageError(
                f"headers are pairs of str, not {type(key).__name__} and {type(value).__name__}", topic=topic
            )
        _check_text(key + value, "a header", topic)
    # A copy: it may wait for its turn, and must not change meanwhile.
    return dict(headers)


def _check_text(text: str, what: str, topic: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise caused_by(
            InvalidMessageError(f"{what} has half of a surrogate pair, which is no character", topic=topic), None
        )
