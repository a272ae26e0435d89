"""Which subscribers a topic reaches.

The rules:

1. Literal topics are one dictionary look-up; wildcard patterns are a tree by token. The cost of a match depends on
   the patterns that match, or match the beginning of the topic, never on how many exist.
2. Answers are remembered, so that the usual case is one look-up; the memory is bounded and is dropped when
   any pattern comes or goes.
3. Only valid topics are remembered: whoever floods us with bad ones pays for the check each time.
"""

from typing import Final, Generic, TypeVar

from cqrsbus.topics import is_pattern, validate_topic

T = TypeVar("T")

MAX_REMEMBERED: Final = 10_000


class TopicIndex(Generic[T]):
    """A set of (pattern, item) that answers which items a topic reaches, in the order they were added."""

    def __init__(self) -> None:
        self._literal: dict[str, dict[T, int]] = {}
        self._root: _Node[T] = _Node()
        self._added = 0
        self._remembered: dict[bytes, tuple[T, ...]] = {}

    def add(self, pattern: str, item: T) -> None:
        """Add an item under a valid pattern."""
        self._added += 1
        items = self._root.descend(pattern) if is_pattern(pattern) else self._literal.setdefault(pattern, {})
        items[item] = self._added
        self._remembered.clear()

    def remove(self, pattern: str, item: T) -> None:
        """Remove an item; KeyError if it is not there."""
        if is_pattern(pattern):
            self._root.remove(pattern.split("."), item)
        else:
            items = self._literal[pattern]
            del items[item]
            if not items:
                del self._literal[pattern]
        self._remembered.clear()

    def match(self, topic: bytes) -> tuple[T, ...]:
        """The items that a topic reaches.

        Raises:
            InvalidTopicError: It is not a topic.
        """
        found = self._remembered.get(topic)
        if found is None:
            found = self._find(validate_topic(str(topic, "latin-1")))
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[topic] = found
        return found

    def _find(self, topic: str) -> tuple[T, ...]:
        found: dict[T, int] = dict(self._literal.get(topic, {}))
        self._root.collect(topic.split("."), found)
        return tuple(sorted(found, key=found.__getitem__))


class _Node(Generic[T]):
    """A token of a wildcard pattern: what ends here, what any rest reaches, and what follows."""

    __slots__ = ("children", "ends", "rest")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.ends: dict[T, int] = {}
        self.rest: dict[T, int] = {}

    def descend(self, pattern: str) -> dict[T, int]:
        node = self
        for token in pattern.split("."):
            if token == ">":
                return node.rest
            node = node.children.setdefault(token, _Node())
        return node.ends

    def remove(self, tokens: list[str], item: T) -> bool:
        """Remove the item and every node left empty; returns whether this one is."""
        if not tokens:
            del self.ends[item]
        elif tokens[0] == ">":
            del self.rest[item]
        elif self.children[tokens[0]].remove(tokens[1:], item):
            del self.children[tokens[0]]
        return not (self.ends or self.rest or self.children)

    def collect(self, tokens: list[str], found: dict[T, int]) -> None:
        if not tokens:
            found.update(self.ends)
            return
        found.update(self.rest)
        for token in (tokens[0], "*"):
            if token in self.children:
                self.children[token].collect(tokens[1:], found)
