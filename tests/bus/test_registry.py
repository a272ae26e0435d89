"""Declaring handlers: what the decorators keep, what groups put together, and what they refuse."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

import pytest

from cqrsbus.bus.callables import place
from cqrsbus.bus.context import Context
from cqrsbus.bus.registry import Handler, HandlerGroup, HandlerKind
from cqrsbus.errors import InvalidTopicError, TopologyError
from cqrsbus.messages import Command, Event, Query


class NewEmail(Command, topic="email.new"):
    subject: str = ""


class UrgentEmail(NewEmail):
    pass


class NoTopic(Command):
    pass


class Stored(Event, topic="email.stored"):
    pass


class Count(Query[int], topic="email.count"):
    pass


async def on_command(command: NewEmail) -> None: ...
async def on_command_too(command: NewEmail) -> None: ...
async def on_any_command(command: dict[str, int]) -> None: ...
async def on_query(query: Count) -> int:
    return 3


async def on_query_too(query: Count) -> int:
    return 4


async def on_event(event: Stored, ctx: Context) -> None: ...
async def on_event_too(event: Stored) -> None: ...


@pytest.fixture
def group() -> HandlerGroup:
    return HandlerGroup()


def topology(declare: Callable[[], object]) -> TopologyError:
    with pytest.raises(TopologyError) as caught:
        declare()
    return caught.value


# What is kept.


def test_a_decorated_function_is_the_very_same_object(group: HandlerGroup) -> None:
    functions: list[Callable[..., Any]] = [on_command, functools.partial(on_command), on_event]
    assert group.command_handler("a")(functions[0]) is functions[0]
    assert group.command_handler("b")(functions[1]) is functions[1]
    assert group.event_handler("c")(functions[2]) is functions[2]
    assert group.query_handler("d")(on_query) is on_query
    assert [handler.function for handler in group.handlers] == [*functions, on_query]


def test_a_command_handler(group: HandlerGroup) -> None:
    group.command_handler("a.b", concurrency=4, on_cancel="cancel")(on_command)
    (handler,) = group.handlers
    assert (handler.kind, handler.topic) == (HandlerKind.COMMAND, "a.b")
    assert str(handler) == place(on_command)
    assert (handler.message_parameter, handler.message_annotation) == ("command", NewEmail)
    assert (handler.context_parameter, handler.returns) == (None, type(None))
    assert (handler.is_async, handler.is_stream, handler.group) == (True, False, None)
    assert (handler.concurrency, handler.on_cancel) == (4, "cancel")


def test_a_query_handler(group: HandlerGroup) -> None:
    group.query_handler(concurrency=2)(on_query)
    (handler,) = group.handlers
    assert (handler.kind, handler.topic, handler.returns) == (HandlerKind.QUERY, "email.count", int)
    assert (handler.concurrency, handler.on_cancel) == (2, "cancel")


def test_an_event_handler(group: HandlerGroup) -> None:
    group.event_handler("email.>", group="audit", concurrency=8)(on_event)
    (handler,) = group.handlers
    assert (handler.kind, handler.topic, handler.group) == (HandlerKind.EVENT, "email.>", "audit")
    assert (handler.concurrency, handler.context_parameter, handler.on_cancel) == (8, "ctx", "finish")


def test_a_stream_of_answers(group: HandlerGroup) -> None:
    @group.query_handler()
    async def count_up(query: Count) -> AsyncIterator[int]:
        yield 1

    (handler,) = group.handlers
    assert (handler.is_stream, handler.is_async, handler.returns) == (True, False, int)


def test_defaults(group: HandlerGroup) -> None:
    group.command_handler()(on_command)
    group.query_handler()(on_query)
    group.event_handler()(on_event)
    assert [(handler.kind.value, handler.concurrency, handler.on_cancel) for handler in group.handlers] == [
        ("command", 1, "finish"),
        ("query", 64, "cancel"),
        ("event", 1, "finish"),
    ]


# Topics.


@pytest.mark.parametrize(
    ("annotation", "topic"),
    [(NewEmail, "email.new"), (UrgentEmail, "email.new"), (Annotated[NewEmail, "note"], "email.new")],
)
def test_the_topic_is_that_of_the_class(group: HandlerGroup, annotation: object, topic: str) -> None:
    def handler(command: object) -> None: ...

    handler.__annotations__["command"] = annotation
    group.command_handler()(handler)
    assert [handler.topic for handler in group.handlers] == [topic]


def test_the_topic_of_the_decorator_wins(group: HandlerGroup) -> None:
    group.command_handler("other.topic")(on_command)
    assert [handler.topic for handler in group.handlers] == ["other.topic"]


def test_a_function_may_handle_several_topics(group: HandlerGroup) -> None:
    @group.command_handler("a.one")
    @group.command_handler("a.two")
    @group.event_handler("a.*")
    def handler(message: dict[str, int]) -> None: ...

    assert [(known.kind.value, known.topic) for known in group.handlers] == [
        ("event", "a.*"),
        ("command", "a.two"),
        ("command", "a.one"),
    ]
    assert {known.function for known in group.handlers} == {handler}


def of_union(command: NewEmail | UrgentEmail) -> None: ...
def of_class_without_topic(command: NoTopic) -> None: ...


@pytest.mark.parametrize("function", [on_any_command, of_union, of_class_without_topic])
def test_no_topic(group: HandlerGroup, function: Callable[..., Any]) -> None:
    error = topology(lambda: group.command_handler()(function))
    assert error.reason == (
        f"{place(function)} has no topic: write @group.command_handler('a.topic'), "
        f"or give its message's class one with topic="
    )
    assert group.handlers == ()


@pytest.mark.parametrize("topic", ["", "a..b", "a b", "a.b\r\n", "a.*b", ">.a"])
@pytest.mark.parametrize("decorator", ["command_handler", "event_handler"])
def test_a_malformed_topic(group: HandlerGroup, topic: str, decorator: str) -> None:
    with pytest.raises(InvalidTopicError) as caught:
        getattr(group, decorator)(topic)(on_any_command)
    assert caught.value.reason.startswith(f"{place(on_any_command)}: the pattern {topic!r} ")
    assert group.handlers == ()


@pytest.mark.parametrize("topic", ["email.*", "*", "email.>"])
def test_wildcards_are_for_events_alone(group: HandlerGroup, topic: str) -> None:
    group.event_handler(topic)(on_event)
    kinds: list[tuple[Callable[..., Any], Callable[..., Any], str]] = [
        (group.command_handler(topic), on_command, "command"),
        (group.query_handler(topic), on_query, "query"),
    ]
    for declare, function, kind in kinds:
        with pytest.raises(InvalidTopicError) as caught:
            declare(function)
        assert str(caught.value) == (
            f"invalid topic for {topic!r}: {place(function)} is a {kind} handler, "
            f"and only event handlers may have wildcards: name one topic"
        )
    assert [handler.function for handler in group.handlers] == [on_event]


# Two handlers for one topic.


def test_two_event_handlers_are_both_kept(group: HandlerGroup) -> None:
    group.event_handler()(on_event)
    group.event_handler()(on_event_too)
    group.event_handler(group="audit")(on_event)
    assert [(handler.function, handler.group) for handler in group.handlers] == [
        (on_event, None),
        (on_event_too, None),
        (on_event, "audit"),
    ]


def test_one_event_handler_twice_is_refused(group: HandlerGroup) -> None:
    group.event_handler("a.b")(on_event)
    error = topology(lambda: group.event_handler("a.b")(on_event))
    assert str(error) == f"topology error for 'a.b': {place(on_event)} hears these events twice: declare it once"
    assert len(group.handlers) == 1


def test_a_second_command_handler_names_both(group: HandlerGroup) -> None:
    group.command_handler()(on_command)
    error = topology(lambda: group.command_handler("email.new")(on_command_too))
    assert str(error) == (
        f"topology error for 'email.new': {place(on_command_too)} is a second command handler "
        f"beside {place(on_command)}: remove one, or give it a topic of its own"
    )
    assert place(on_command) != place(on_command_too)
    assert [handler.function for handler in group.handlers] == [on_command]


def test_a_second_query_handler_names_both(group: HandlerGroup) -> None:
    group.query_handler()(on_query)
    error = topology(lambda: group.query_handler()(on_query_too))
    assert str(error) == (
        f"topology error for 'email.count': {place(on_query_too)} is a second query handler "
        f"beside {place(on_query)}: remove one, or give it a topic of its own"
    )


def test_each_kind_has_its_own_handler_of_a_topic(group: HandlerGroup) -> None:
    def handler(message: str) -> None: ...

    group.command_handler("a.b")(handler)
    group.query_handler("a.b")(handler)
    group.event_handler("a.b")(handler)
    assert len(group.handlers) == 3


# Wrong use of the decorators.


@pytest.mark.parametrize("name", ["command_handler", "query_handler", "event_handler"])
def test_a_decorator_without_parentheses(group: HandlerGroup, name: str) -> None:
    with pytest.raises(TypeError) as caught:
        getattr(group, name)(on_command)
    assert str(caught.value) == f"write @group.{name}() with parentheses above {place(on_command)}"


def test_a_topic_of_another_type(group: HandlerGroup) -> None:
    with pytest.raises(TypeError) as caught:
        group.command_handler(7)  # type: ignore[arg-type]
    assert str(caught.value) == "the topic given to command_handler is a str or None, not 7"


@pytest.mark.parametrize("concurrency", [0, -1, True, 1.5, "4"])
@pytest.mark.parametrize("name", ["command_handler", "query_handler", "event_handler"])
def test_concurrency_is_a_whole_number_from_one(group: HandlerGroup, name: str, concurrency: object) -> None:
    with pytest.raises(ValueError, match="concurrency is a whole number from 1, not "):
        getattr(group, name)("a.b", concurrency=concurrency)


@pytest.mark.parametrize("on_cancel", ["stop", "", None, True])
def test_what_becomes_of_a_command_is_one_of_two_words(group: HandlerGroup, on_cancel: Any) -> None:
    with pytest.raises(ValueError, match="on_cancel is 'finish' or 'cancel', not "):
        group.command_handler("a.b", on_cancel=on_cancel)


@pytest.mark.parametrize("name", ["", "two words", "a\n", "x" * 256])
def test_a_malformed_group(group: HandlerGroup, name: str) -> None:
    with pytest.raises(ValueError, match="the group ") as caught:
        group.event_handler("a.b", group=name)
    assert str(caught.value) == f"the group {name!r} is not 1 to 255 letters, digits, '_', '-' and '.'"


def test_what_is_wrong_with_the_function_is_told(group: HandlerGroup) -> None:
    def handler() -> None: ...

    with pytest.raises(TypeError, match="takes no message"):
        group.command_handler("a.b")(handler)  # type: ignore[type-var]
    assert group.handlers == ()


# Declared errors.


class MailboxLocked(Exception):
    pass


class MailboxGone(Exception):
    pass


class Open(Query[int], topic="mail.open", raises=(MailboxLocked,)):
    pass


def test_a_handler_raises_what_its_message_does_and_its_own(group: HandlerGroup) -> None:
    @group.query_handler(raises=[MailboxGone])
    async def open_mailbox(query: Annotated[Open, "a note"]) -> int:
        return 1

    @group.command_handler("mail.close")
    async def close_mailbox(command: dict[str, int]) -> None: ...

    assert [handler.raises for handler in group.handlers] == [(MailboxLocked, MailboxGone), ()]
    outer = HandlerGroup()
    outer.include(group, prefix="eu.")
    assert outer.handlers[0].raises == (MailboxLocked, MailboxGone)


@pytest.mark.parametrize(
    ("raises", "said"),
    [
        (MailboxLocked, r"write raises=\(MailboxLocked,\)"),
        ((KeyboardInterrupt,), "no Exception"),
        ((type("MailboxLocked", (Exception,), {}),), "one name"),
    ],
)
def test_what_cannot_be_declared_names_the_function(group: HandlerGroup, raises: Any, said: str) -> None:
    async def open_mailbox(query: Open) -> int:
        return 1

    with pytest.raises(TypeError, match=said) as caught:
        group.query_handler(raises=raises)(open_mailbox)
    assert place(open_mailbox) in str(caught.value)
    assert group.handlers == ()


# Groups.


def filled() -> HandlerGroup:
    group = HandlerGroup()
    group.command_handler()(on_command)
    group.event_handler("email.>")(on_event)
    return group


def test_include_takes_all_handlers(group: HandlerGroup) -> None:
    group.query_handler()(on_query)
    other = filled()
    group.include(other)
    assert group.handlers[1:] == other.handlers
    assert [handler.function for handler in group.handlers] == [on_query, on_command, on_event]


@pytest.mark.parametrize("prefix", ["event.", "event"])
def test_include_puts_the_prefix_before_every_topic(group: HandlerGroup, prefix: str) -> None:
    other = filled()
    group.include(other, prefix=prefix)
    assert [handler.topic for handler in group.handlers] == ["event.email.new", "event.email.>"]
    assert [handler.topic for handler in other.handlers] == ["email.new", "email.>"]


def test_include_in_include(group: HandlerGroup) -> None:
    middle = HandlerGroup()
    middle.include(filled(), prefix="b.")
    group.include(middle, prefix="a.")
    assert [handler.topic for handler in group.handlers] == ["a.b.email.new", "a.b.email.>"]


def test_one_group_may_be_included_in_several_places(group: HandlerGroup) -> None:
    other, another = filled(), HandlerGroup()
    group.include(other, prefix="a.")
    group.include(other, prefix="b.")
    another.include(other)
    assert [handler.topic for handler in group.handlers] == ["a.email.new", "a.email.>", "b.email.new", "b.email.>"]
    assert len(another.handlers) == 2


@pytest.mark.parametrize(("first", "second"), [("", ""), ("a.", "a."), ("a", "a.")])
def test_one_group_twice_with_the_same_result_is_refused(group: HandlerGroup, first: str, second: str) -> None:
    other = filled()
    group.include(other, prefix=first)
    error = topology(lambda: group.include(other, prefix=second))
    assert error.reason == f"the group was included with the prefix {second!r} before: include it once"
    assert len(group.handlers) == 2


def test_a_group_twice_by_another_way_is_refused(group: HandlerGroup) -> None:
    events, middle = HandlerGroup(), HandlerGroup()
    events.event_handler("a.b")(on_event)
    middle.include(events)
    group.include(events)
    assert "hears these events twice" in topology(lambda: group.include(middle)).reason


def test_a_group_in_itself_is_refused(group: HandlerGroup) -> None:
    assert topology(lambda: group.include(group)).reason == "a group cannot include itself"


def test_include_takes_all_or_nothing(group: HandlerGroup) -> None:
    group.command_handler("email.new")(on_command_too)
    other = HandlerGroup()
    other.event_handler("a.b")(on_event)
    other.command_handler()(on_command)
    error = topology(lambda: group.include(other))
    assert place(on_command) in error.reason
    assert place(on_command_too) in error.reason
    assert [handler.function for handler in group.handlers] == [on_command_too]
    other.event_handler("a.c")(on_event)  # it was not included, so it is still open
    group.include(other, prefix="other")
    assert len(group.handlers) == 4


@pytest.mark.parametrize("prefix", ["a b.", "*.", ".", "a..", "x" * 250])
def test_a_malformed_prefix_names_the_handler(group: HandlerGroup, prefix: str) -> None:
    with pytest.raises(InvalidTopicError) as caught:
        group.include(filled(), prefix=prefix)
    assert caught.value.reason.startswith(f"{place(on_command)} with the prefix {prefix!r}: the ")
    assert group.handlers == ()


def test_an_included_group_is_closed(group: HandlerGroup) -> None:
    other = filled()
    group.include(other)
    error = topology(lambda: other.query_handler()(on_query))
    assert str(error) == (
        f"topology error for 'email.count': {place(on_query)} came to a group that had been included already: "
        f"declare or include it before the group is included"
    )
    assert "had been included already" in topology(lambda: other.include(filled(), prefix="more.")).reason
    assert len(other.handlers) == len(group.handlers) == 2


def test_a_derived_class_may_refuse_handlers() -> None:
    class Started(HandlerGroup):
        def _register(self, handler: Handler) -> None:
            raise TopologyError(f"{handler} is too late")

    started, other = Started(), filled()
    assert topology(lambda: started.command_handler()(on_command)).reason == f"{place(on_command)} is too late"
    assert topology(lambda: started.include(other)).reason == f"{place(on_command)} is too late"
    assert started.handlers == ()
    other.query_handler()(on_query)


@pytest.mark.anyio
async def test_a_decorated_function_is_called_as_ever(group: HandlerGroup) -> None:
    @group.query_handler()
    async def count(query: Count, ctx: Context | None = None) -> int:
        return 3 if ctx is None else 4

    ctx = Context(message_id="m", topic="email.count")
    assert await count(Count()) == 3
    (handler,) = group.handlers
    answer = handler.call(Count(), ctx)
    assert isinstance(answer, Awaitable)
    assert await answer == 4


@pytest.mark.parametrize(
    ("prefetch", "reason"),
    [
        (0, "prefetch is a whole number from 1, not 0"),
        (True, "prefetch is a whole number from 1, not True"),
        ("4", "prefetch is a whole number from 1, not '4'"),
        (3, "prefetch is 3; it is from 4, the concurrency, to 65535"),
        (65_536, "prefetch is 65536"),
    ],
)
@pytest.mark.parametrize("name", ["command_handler", "query_handler", "event_handler"])
def test_a_prefetch_that_cannot_be(group: HandlerGroup, name: str, prefetch: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        getattr(group, name)("a.b", concurrency=4, prefetch=prefetch)


def test_how_many_messages_are_in_hand(group: HandlerGroup) -> None:
    group.command_handler("a.b", prefetch=1)(on_command)
    group.query_handler("a.c", concurrency=100)(on_query)
    group.event_handler("a.d", concurrency=4, prefetch=4)(on_event)
    group.event_handler("a.e")(on_event)
    group.event_handler("a.e", group="g")(on_event)
    assert [handler.in_hand for handler in group.handlers] == [1, 100, 4, 1024, 64]


class TestOrder:
    def test_those_who_share_events_agree_on_their_order(self, group: HandlerGroup) -> None:
        group.event_handler("e", group="g", ordered_by="subject")(on_event_of_any_kind)
        error = topology(lambda: group.event_handler("e", group="g")(on_event_too))
        assert place(on_event_too) in str(error)
        assert place(on_event_of_any_kind) in str(error)
        assert "same ordered_by" in str(error)

    def test_those_who_do_not_share_need_not(self, group: HandlerGroup) -> None:
        group.event_handler("e", group="g", ordered_by="subject")(on_event_of_any_kind)
        group.event_handler("e", group="h")(on_event_too)
        group.event_handler("e")(on_event_of_any_kind)
        group.event_handler("e", ordered_by="x")(on_any_event)
        assert len(group.handlers) == 4

    def test_a_group_that_is_included_agrees_too(self, group: HandlerGroup) -> None:
        other = HandlerGroup()
        other.event_handler("e", group="g", ordered_by="subject")(on_event_of_any_kind)
        group.event_handler("p.e", group="g")(on_event_too)
        topology(lambda: group.include(other, prefix="p"))

    def test_an_order_by_nothing_that_is_there(self, group: HandlerGroup) -> None:
        error = topology(lambda: group.command_handler(ordered_by="sujbect")(on_command))
        assert "NewEmail has no such field: it has 'subject'" in str(error)


async def on_event_of_any_kind(event: dict[str, str]) -> None: ...
async def on_any_event(event: dict[str, str]) -> None: ...
