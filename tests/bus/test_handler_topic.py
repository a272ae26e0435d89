"""A handler's topic: of its decorator, of its message's class, with a prefix. How groups use it: test_registry.py."""

from typing import Annotated

import pytest

from cqrsbus.bus.handler import HandlerKind
from cqrsbus.bus.handler_topic import chosen_topic, prefixed, refuse_bare
from cqrsbus.bus.registry import HandlerGroup
from cqrsbus.errors import InvalidTopicError, TopologyError
from cqrsbus.messages import Command


class NewEmail(Command, topic="email.new"):
    pass


@pytest.mark.parametrize(
    ("given", "annotation", "topic"),
    [
        (None, NewEmail, "email.new"),
        (None, Annotated[NewEmail, "a note"], "email.new"),
        ("email.other", NewEmail, "email.other"),
        ("email.other", int, "email.other"),
    ],
)
def test_the_decorators_topic_wins_over_the_classs(given: str | None, annotation: object, topic: str) -> None:
    assert chosen_topic(HandlerKind.COMMAND, given, annotation, "f") == topic


def test_no_topic() -> None:
    with pytest.raises(TopologyError, match=r"f has no topic: write @group\.command_handler"):
        chosen_topic(HandlerKind.COMMAND, None, NewEmail | None, "f")


@pytest.mark.parametrize("kind", HandlerKind)
def test_wildcards_are_for_events_alone(kind: HandlerKind) -> None:
    if kind is HandlerKind.EVENT:
        assert chosen_topic(kind, "email.*", int, "f") == "email.*"
    else:
        with pytest.raises(InvalidTopicError, match="only event handlers may have wildcards"):
            chosen_topic(kind, "email.*", int, "f")


def test_a_prefix_comes_before_the_topic() -> None:
    group = HandlerGroup()

    @group.event_handler("new.*")
    async def audit(event: int) -> None: ...

    assert prefixed(group.handlers[0], "email").topic == "email.new.*"
    with pytest.raises(InvalidTopicError, match=r"audit .* with the prefix 'e mail'"):
        prefixed(group.handlers[0], "e mail")


def test_what_is_no_topic() -> None:
    refuse_bare(HandlerKind.QUERY, None)
    refuse_bare(HandlerKind.QUERY, "a.b")
    with pytest.raises(
        TypeError, match=r"write @group\.query_handler\(\) with parentheses above .*test_what_is_no_topic"
    ):
        refuse_bare(HandlerKind.QUERY, test_what_is_no_topic)
    with pytest.raises(TypeError, match="is a str or None, not 7"):
        refuse_bare(HandlerKind.QUERY, 7)
