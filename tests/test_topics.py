"""Topics and patterns: what is valid, what a refusal says, and what hears what."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrsbus.errors import InvalidTopicError, TopologyError
from cqrsbus.topics import MAX_LEVELS, MAX_TOPIC_BYTES, is_pattern, join, matches, validate_pattern, validate_topic

tokens = st.text("abAB01_-", min_size=1, max_size=3)
topics = st.lists(tokens, min_size=1, max_size=MAX_LEVELS).map(".".join)


@st.composite
def patterns(draw: st.DrawFn) -> str:
    levels = draw(st.lists(tokens | st.just("*"), min_size=1, max_size=MAX_LEVELS))
    if draw(st.booleans()):
        levels[-1] = ">"
    return ".".join(levels)


@st.composite
def patterns_with_a_topic_they_hear(draw: st.DrawFn) -> tuple[str, str]:
    pattern = draw(patterns())
    heard = [draw(tokens) if level == "*" else level for level in pattern.split(".")]
    if heard[-1] == ">":
        heard[-1:] = draw(st.lists(tokens, min_size=1, max_size=3))
    return pattern, ".".join(heard)


@given(topics)
def test_a_topic_is_returned_unchanged_and_is_a_pattern_of_itself(topic: str) -> None:
    assert validate_topic(topic) == topic
    assert validate_pattern(topic) == topic
    assert not is_pattern(topic)
    assert matches(topic, topic)


@given(patterns())
def test_a_pattern_is_returned_unchanged_and_is_a_topic_only_without_wildcards(pattern: str) -> None:
    assert validate_pattern(pattern) == pattern
    if is_pattern(pattern):
        with pytest.raises(InvalidTopicError, match="wildcard"):
            validate_topic(pattern)
    else:
        assert validate_topic(pattern) == pattern


@given(st.text(max_size=12) | st.text("a.*> \n\0é", max_size=12))
def test_any_text_is_either_valid_or_refused_by_name(text: str) -> None:
    assert _accepts(text, wildcards=False) == _is_topic_by_the_book(text)
    assert _accepts(text, wildcards=True) == _is_pattern_by_the_book(text)


@given(patterns_with_a_topic_they_hear())
def test_a_pattern_hears_what_is_built_from_it(pair: tuple[str, str]) -> None:
    pattern, topic = pair
    assert matches(pattern, topic)


@given(patterns(), topics)
def test_matching_agrees_with_the_same_pattern_as_a_regular_expression(pattern: str, topic: str) -> None:
    parts = {"*": "[^.]+", ">": ".+"}
    expression = r"\.".join(parts.get(level, re.escape(level)) for level in pattern.split("."))
    assert matches(pattern, topic) == bool(re.fullmatch(expression, topic))


@pytest.mark.parametrize(
    ("pattern", "topic", "heard"),
    [
        ("event.*.new", "event.email.new", True),
        ("event.*.new", "event.new", False),
        ("event.*.new", "event.email.old", False),
        ("event.*", "event.email.new", False),
        ("event.>", "event.email.new", True),
        ("event.>", "event", False),
        ("*.>", "event", False),
        (">", "event", True),
        ("*", "event", True),
        ("Event", "event", False),
    ],
)
def test_wildcards(pattern: str, topic: str, heard: bool) -> None:
    assert matches(pattern, topic) is heard


@pytest.mark.parametrize(
    ("topic", "says"),
    [
        ("", "the topic '' is empty"),
        (".", "empty token at position 0"),
        ("a..b", "empty token at position 2"),
        ("a.b.", "empty token at position 4"),
        ("a.b\r\nc", r"'a.b\r\nc' has '\r' at position 3"),
        ("a.b\n", r"'\n' at position 3"),
        ("a\0", r"'\x00' at position 1"),
        ("a b", "' ' at position 1"),
        ("邮件.new", "'邮' at position 0"),
        ("a.\ud800", r"'\ud800' at position 2"),
        ("a.*", "wildcard '*' at position 2"),
        ("a.>", "wildcard '>' at position 2"),
        ("x" * (MAX_TOPIC_BYTES + 1), f"has {MAX_TOPIC_BYTES + 1} bytes; the limit is {MAX_TOPIC_BYTES}"),
        ("é" * MAX_TOPIC_BYTES, f"has {2 * MAX_TOPIC_BYTES} bytes"),
        (".".join("x" * (MAX_LEVELS + 1)), f"has {MAX_LEVELS + 1} levels; the limit is {MAX_LEVELS}"),
    ],
)
def test_a_refused_topic_is_told_what_is_wrong_and_where(topic: str, says: str) -> None:
    with pytest.raises(InvalidTopicError) as caught:
        validate_topic(topic)
    assert says in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("a.>.b", "has '>' at position 2; it must be the last token"),
        (">.>", "has '>' at position 0; it must be the last token"),
        ("a.b*", "has '*' at position 3 inside a token"),
        ("a>", "has '>' at position 1 inside a token"),
        ("**", "has '*' at position 0 inside a token"),
        (".>", "empty token at position 0"),
    ],
)
def test_a_refused_pattern_is_told_what_is_wrong_and_where(pattern: str, says: str) -> None:
    with pytest.raises(InvalidTopicError) as caught:
        validate_pattern(pattern)
    assert says in str(caught.value)


def test_the_limits_themselves_are_allowed() -> None:
    assert validate_topic("x" * MAX_TOPIC_BYTES)
    assert validate_topic(".".join("x" * MAX_LEVELS))
    assert validate_pattern(".".join("*" * MAX_LEVELS))
    assert validate_pattern(".".join(["*"] * (MAX_LEVELS - 1) + [">"]))


def test_the_refusal_is_a_topology_error_and_a_value_error() -> None:
    assert issubclass(InvalidTopicError, TopologyError)
    assert issubclass(InvalidTopicError, ValueError)


@pytest.mark.parametrize(
    ("prefix", "topic", "joined"),
    [
        ("event.", "new", "event.new"),
        ("event", "new", "event.new"),
        ("a.b.", "*.>", "a.b.*.>"),
        ("", "new", "new"),
    ],
)
def test_join(prefix: str, topic: str, joined: str) -> None:
    assert join(prefix, topic) == joined


@pytest.mark.parametrize(("prefix", "topic"), [("event..", "new"), (".", "new"), ("event.*", "new"), ("event.", "")])
def test_join_refuses_what_would_be_malformed(prefix: str, topic: str) -> None:
    with pytest.raises(InvalidTopicError):
        join(prefix, topic)


def _accepts(text: str, *, wildcards: bool) -> bool:
    try:
        (validate_pattern if wildcards else validate_topic)(text)
    except InvalidTopicError:
        return False
    return True


def _is_topic_by_the_book(text: str) -> bool:
    letters = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    return all(token and set(token) <= letters for token in text.split("."))


def _is_pattern_by_the_book(text: str) -> bool:
    *head, last = text.split(".")
    return all(token == "*" or _is_topic_by_the_book(token) for token in head) and (
        last in ("*", ">") or _is_topic_by_the_book(last)
    )
