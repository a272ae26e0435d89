"""The index of patterns, against their plain definition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrsbus.errors import InvalidTopicError
from cqrsbus.routing.topic_index import MAX_REMEMBERED, TopicIndex
from cqrsbus.topics import matches

TOKENS = st.sampled_from(["a", "b", "c"])
TOPICS = st.lists(TOKENS, min_size=1, max_size=4).map(".".join)
PATTERNS = st.builds(
    lambda tokens, rest: ".".join([*tokens, ">"] if rest else tokens),
    st.lists(TOKENS | st.just("*"), min_size=1, max_size=4),
    st.booleans(),
) | st.just(">")
#: (pattern, whether it stays)
ENTRIES = st.lists(st.tuples(PATTERNS, st.booleans()), max_size=12)


@given(ENTRIES, st.lists(TOPICS, min_size=1, max_size=6))
def test_the_index_finds_what_the_definition_says_in_order(entries: list[tuple[str, bool]], topics: list[str]) -> None:
    index: TopicIndex[int] = TopicIndex()
    for item, (pattern, _) in enumerate(entries):
        index.add(pattern, item)
        # What is remembered in between must not outlive a change.
        index.match(topics[item % len(topics)].encode())
    for item, (pattern, stays) in enumerate(entries):
        if not stays:
            index.remove(pattern, item)
    for topic in topics:
        expected = tuple(item for item, (pattern, stays) in enumerate(entries) if stays and matches(pattern, topic))
        assert index.match(topic.encode()) == expected
        assert index.match(topic.encode()) == expected


@given(ENTRIES)
def test_nothing_is_left_when_all_is_removed(entries: list[tuple[str, bool]]) -> None:
    index: TopicIndex[int] = TopicIndex()
    for item, (pattern, _) in enumerate(entries):
        index.add(pattern, item)
    for item, (pattern, _) in enumerate(entries):
        index.remove(pattern, item)
    assert index.match(b"a") == ()
    for node in (index._literal, index._root.children, index._root.ends, index._root.rest):
        assert not node


@pytest.mark.parametrize("pattern", ["a", "a.*", "a.>", ">"])
def test_what_is_not_there_cannot_be_removed(pattern: str) -> None:
    index: TopicIndex[int] = TopicIndex()
    index.add("a.b.*", 1)
    with pytest.raises(KeyError):
        index.remove(pattern, 1)
    assert index.match(b"a.b.c") == (1,)


@pytest.mark.parametrize(
    "topic", [b"", b"a..b", b"a.*", b">", b"a\r\nb", b"a\0", b"\xff\xfe", b"a" * 256, b"a." * 16 + b"a"]
)
def test_bad_topics_are_refused_each_time_and_not_remembered(topic: bytes) -> None:
    index: TopicIndex[int] = TopicIndex()
    index.add(">", 1)
    for _ in range(2):
        with pytest.raises(InvalidTopicError):
            index.match(topic)
    assert not index._remembered


def test_what_is_remembered_is_bounded() -> None:
    index: TopicIndex[int] = TopicIndex()
    index.add(">", 1)
    for number in range(2 * MAX_REMEMBERED + 10):
        assert index.match(b"t%d" % number) == (1,)
        assert 0 < len(index._remembered) <= MAX_REMEMBERED
