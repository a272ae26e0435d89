"""What type checkers infer from messages. Checked, never run.

Every ignore stands for an intended error: one that is not needed is itself an error, for both checkers.
"""

from typing import Generic, TypeVar, assert_type

from pydantic import BaseModel

from cqrsbus.messages import Command, Event, Query
from cqrsbus.topics import topic_of

T = TypeVar("T")
R = TypeVar("R")


class EmailQueryResponse(BaseModel):
    total: int


class EmailQuery(Query[EmailQueryResponse], topic="event.email.query"):
    subject: str


class DeeperQuery(EmailQuery, extra="forbid"):
    depth: int = 1


class Numbers(Query[list[int]], topic="a.b"):
    pass


class Perhaps(Query[int | None], topic="a.c", extra="forbid"):
    pass


class Paged(Query[list[T]], Generic[T], topic="a.d"):
    start: int = 0


class NewEmail(Command, topic="event.email.new", frozen=True):
    subject: str


class Named(Event, topic="event.named"):
    topic: str


async def ask(query: Query[R]) -> R:
    raise NotImplementedError(query)


async def answers() -> None:
    assert_type(await ask(EmailQuery(subject="Account")), EmailQueryResponse)
    assert_type(await ask(DeeperQuery(subject="Account", depth=2)), EmailQueryResponse)
    assert_type(await ask(Numbers()), list[int])
    assert_type(await ask(Perhaps()), int | None)
    assert_type(await ask(Paged[str](start=1)), list[str])


def widened(query: Query[int]) -> Query[object]:
    return query


def fields() -> None:
    assert_type(NewEmail(subject="x").subject, str)
    assert_type(Named(topic="mine").topic, str)
    assert_type(topic_of(NewEmail), str | None)


def mistakes() -> None:
    NewEmail(subjct="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    EmailQuery(subject=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
