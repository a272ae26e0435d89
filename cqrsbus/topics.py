"""Topics name what a message is about; patterns say which topics a subscription hears.

A topic is one to 16 tokens separated by dots, at most 255 bytes in all. A token is one or more of the ASCII
letters, digits, ``_`` and ``-``, so a topic never needs quoting in a log line, a file name or a NATS subject.

A pattern is a topic in which whole tokens may be wildcards:

- ``*`` stands for exactly one token, anywhere;
- ``>`` stands for one or more tokens, and is the last token if present.

``event.*.new`` hears ``event.email.new``; ``event.>`` hears that and ``event.email.new.urgent``, but not
``event``. Case matters. Every topic is also a pattern, which matches itself alone.
"""

import re
from typing import Final

from cqrsbus.errors import InvalidTopicError

MAX_TOPIC_BYTES: Final = 255
MAX_LEVELS: Final = 16

_TOKEN = "[A-Za-z0-9_-]+"
_TOPIC_RE: Final = re.compile(rf"{_TOKEN}(?:\.{_TOKEN}){{0,{MAX_LEVELS - 1}}}")
_PATTERN_RE: Final = re.compile(rf"(?:(?:{_TOKEN}|\*)\.){{0,{MAX_LEVELS - 1}}}(?:{_TOKEN}|[*>])")
_FOREIGN_RE: Final = re.compile(r"[^A-Za-z0-9_-]")
_WILDCARDS: Final = frozenset("*>")
_QUOTED_AT_MOST: Final = 64


def validate_topic(topic: str) -> str:
    """Return the topic unchanged if messages can be sent to it.

    Args:
        topic: The topic, without wildcards.

    Raises:
        InvalidTopicError: It is malformed; the reason names what is wrong and where.
    """
    if len(topic) <= MAX_TOPIC_BYTES and _TOPIC_RE.fullmatch(topic):
        return topic
    raise _refusal(topic, wildcards=False)


def validate_pattern(pattern: str) -> str:
    """Return the pattern unchanged if a subscription can listen to it.

    Args:
        pattern: A topic, or one with the wildcards ``*`` and ``>``.

    Raises:
        InvalidTopicError: It is malformed; the reason names what is wrong and where.
    """
    if len(pattern) <= MAX_TOPIC_BYTES and _PATTERN_RE.fullmatch(pattern):
        return pattern
    raise _refusal(pattern, wildcards=True)


def is_pattern(text: str) -> bool:
    """Tell whether a valid pattern has wildcards, so that it stands for more than one topic."""
    return "*" in text or ">" in text


def matches(pattern: str, topic: str) -> bool:
    """Tell whether a pattern hears a topic; the plain definition, which faster indexes are tested against.

    Args:
        pattern: A valid pattern.
        topic: A valid topic.
    """
    wanted, given = pattern.split("."), topic.split(".")
    if wanted[-1] == ">":
        del wanted[-1]
        if len(given) <= len(wanted):
            return False
        del given[len(wanted) :]
    return len(wanted) == len(given) and all(w in ("*", g) for w, g in zip(wanted, given, strict=True))


def join(prefix: str, topic: str) -> str:
    """Put a prefix before a topic or pattern: ``join("event.", "new")`` is ``"event.new"``.

    Args:
        prefix: A topic, with or without its closing dot; empty for none.
        topic: The topic or pattern to go under it.

    Raises:
        InvalidTopicError: The prefix or the result is malformed.
    """
    if not prefix:
        return validate_pattern(topic)
    return validate_pattern(f"{validate_topic(prefix.removesuffix('.'))}.{topic}")


def topic_of(message: object) -> str | None:
    """Return the topic that a message, or a class of messages, was declared with (see messages.py).

    Args:
        message: An instance or a class; anything that is not a message has no topic.
    """
    # Asking for the attribute costs a fraction of what asking pydantic's metaclass for the parents does, and asking the
    # instance half of what asking its class does.
    topic: object = getattr(message, "__cqrs_topic__", None)
    # There are objects that have whatever they are asked for.
    return topic if isinstance(topic, str) else None


def _refusal(text: str, *, wildcards: bool) -> InvalidTopicError:
    what = "the pattern" if wildcards else "the topic"
    return InvalidTopicError(f"{what} {_quoted(text)} {_flaw(text, wildcards=wildcards)}")


def _flaw(text: str, *, wildcards: bool) -> str:
    if not text:
        return "is empty"
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_TOPIC_BYTES:
        return f"has {size} bytes; the limit is {MAX_TOPIC_BYTES}"
    tokens = text.split(".")
    if len(tokens) > MAX_LEVELS:
        return f"has {len(tokens)} levels; the limit is {MAX_LEVELS}"
    position = 0
    for token in tokens:
        flaw = _token_flaw(token, position, last=position + len(token) == len(text), wildcards=wildcards)
        if flaw:
            return flaw
        position += len(token) + 1
    raise AssertionError("a text without a flaw is not refused")  # pragma: no cover


def _token_flaw(token: str, position: int, *, last: bool, wildcards: bool) -> str:
    if not token:
        return f"has an empty token at position {position}"
    if token in _WILDCARDS:
        if not wildcards:
            return f"has the wildcard {token!r} at position {position}; only a subscription's pattern may"
        return "" if last or token == "*" else f"has '>' at position {position}; it must be the last token"
    found = _FOREIGN_RE.search(token)
    if not found:
        return ""
    where = f"at position {position + found.start()}"
    if found[0] in _WILDCARDS:
        return f"has {found[0]!r} {where} inside a token; a wildcard is a whole token"
    return f"has {found[0]!r} {where}; a token is made of letters, digits, '_' and '-'"


def _quoted(text: str) -> str:
    return repr(text) if len(text) <= _QUOTED_AT_MOST else f"{text[:_QUOTED_AT_MOST]!r}..."
