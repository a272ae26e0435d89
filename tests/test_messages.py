"""Commands, queries and events: topics, answers, and pydantic left as it is."""

from typing import Generic, TypeVar

import pytest
from pydantic import BaseModel, ValidationError

from cqrsbus.errors import InvalidTopicError
from cqrsbus.messages import Command, Event, Query, answer_type, raises_of
from cqrsbus.topics import topic_of

T = TypeVar("T")
U = TypeVar("U")


class Found(BaseModel):
    total: int


class Page(BaseModel, Generic[T]):
    items: list[T]


class NewEmail(Command, topic="event.email.new"):
    subject: str


class UrgentEmail(NewEmail):
    level: int = 1


class OtherEmail(NewEmail, topic="event.email.other"):
    pass


class Find(Query[Found], topic="email.find"):
    subject: str


class FindDeeper(Find):
    depth: int = 2


class Paged(Query[Page[T]], Generic[T], topic="email.paged"):
    start: int = 0


class TwoParameters(Query[dict[T, list[U]]], Generic[T, U]):
    pass


class HalfFilled(TwoParameters[str, U], Generic[U]):
    pass


class Get(Query[T], Generic[T], topic="any.get"):
    pass


class FindNothing(Query[None]):
    pass


@pytest.mark.parametrize(
    ("message", "topic"),
    [
        (NewEmail, "event.email.new"),
        (NewEmail(subject="hi"), "event.email.new"),
        (UrgentEmail, "event.email.new"),
        (OtherEmail, "event.email.other"),
        (Find, "email.find"),
        (Paged, "email.paged"),
        (Paged[int], "email.paged"),
        (Paged[int](), "email.paged"),
        (Command, None),
        (Event, None),
        (Query[int], None),
        (Found, None),
        (Found(total=1), None),
        ("event.email.new", None),
        (None, None),
    ],
)
def test_topic_of(message: object, topic: str | None) -> None:
    assert topic_of(message) == topic


@pytest.mark.parametrize("topic", ["", "a.*", "a.>", "a b", "a..b"])
def test_a_malformed_topic_is_refused_when_the_class_is_made(topic: str) -> None:
    with pytest.raises(InvalidTopicError, match=r"class .*Bad: the topic"):

        class Bad(Command, topic=topic):
            pass


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        (Find, Found),
        (FindDeeper, Found),
        (Paged[int], Page[int]),
        (Paged, None),
        (TwoParameters[str, int], dict[str, list[int]]),
        (HalfFilled[bytes], dict[str, list[bytes]]),
        (HalfFilled, None),
        (FindNothing, type(None)),
        (Get[int], int),
        (Get[None], type(None)),
        (Get, None),
        (Query[list[int]], list[int]),
        (Query[int | None], int | None),
        (Query, None),
    ],
)
def test_answer_type(query: type[Query[object]], answer: object) -> None:
    assert answer_type(query) == answer


def test_a_subclass_of_a_filled_in_generic_query_has_its_answer() -> None:
    class PagedNames(Paged[str]):
        pass

    assert answer_type(PagedNames) == Page[str]
    assert topic_of(PagedNames) == "email.paged"


def test_no_field_name_is_taken() -> None:
    class Named(Event, topic="event.named"):
        topic: str
        name: str
        answer: int

    named = Named(topic="mine", name="n", answer=42)
    assert named.model_dump() == {"topic": "mine", "name": "n", "answer": 42}
    assert topic_of(named) == "event.named"


def test_the_class_keywords_of_pydantic_still_work() -> None:
    class Strict(Command, topic="a.b", frozen=True, extra="forbid"):
        x: int

    strict = Strict(x=1)
    assert hash(strict) == hash(Strict(x=1))
    with pytest.raises(ValidationError, match="frozen"):
        strict.x = 2  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        Strict.model_validate({"x": 1, "y": 2})


def test_an_unknown_class_keyword_is_refused() -> None:
    with pytest.raises(TypeError):

        class Wrong(Command, tpoic="a.b"):  # pyright: ignore[reportCallIssue]
            pass


def test_a_message_adds_nothing_to_its_schema() -> None:
    assert NewEmail.model_json_schema()["properties"].keys() == {"subject"}
    assert not NewEmail(subject="hi").model_dump().keys() - {"subject"}


class MailboxLocked(Exception):
    pass


class MailboxGone(Exception):
    pass


class Open(Query[Page[T]], Generic[T], topic="mail.open", raises=(MailboxLocked,)):
    pass


class OpenAny(Open[int], raises=[MailboxGone]):
    pass


class Close(Command, topic="mail.close", raises=(MailboxGone,), extra="forbid"):
    raises: int = 1


class CloseOther(Close):
    pass


class CloseBoth(CloseOther, Command, raises=(MailboxLocked, MailboxGone)):
    pass


@pytest.mark.parametrize(
    ("cls", "raises"),
    [
        (Open, (MailboxLocked,)),
        (Open[str], (MailboxLocked,)),
        (OpenAny, (MailboxLocked, MailboxGone)),
        (Close, (MailboxGone,)),
        (CloseOther, (MailboxGone,)),
        (CloseBoth, (MailboxGone, MailboxLocked)),
        (Find, ()),
        (Command, ()),
        (Event, ()),
        (int, ()),
    ],
)
def test_what_a_class_raises_a_subclass_does_too(cls: type, raises: tuple[type[Exception], ...]) -> None:
    assert raises_of(cls) == raises


def test_what_is_raised_is_no_field() -> None:
    assert Close(raises=2).model_dump() == {"raises": 2}
    assert Close.model_config.get("extra") == "forbid"


def test_what_cannot_be_raised_is_told_with_the_class() -> None:
    with pytest.raises(TypeError, match=r"class .*Wrong has .*KeyboardInterrupt"):

        class Wrong(Command, raises=(KeyboardInterrupt,)):
            pass

    namesake = type("MailboxLocked", (Exception,), {})
    with pytest.raises(TypeError, match=r"class .*Twice raises .* one name"):

        class Twice(OpenAny, raises=(namesake,)):
            pass


def test_nobody_hears_what_the_handler_of_an_event_raises() -> None:
    with pytest.raises(TypeError):

        class Stored(Event, raises=(MailboxGone,)):
            pass
