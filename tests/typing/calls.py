"""What type checkers infer from calls. Checked, never run.

Every ignore stands for an intended error: one that is not needed is itself an error, for both checkers.
"""

from typing import Any, Generic, TypeVar, assert_type

from pydantic import BaseModel

from cqrsbus import Bus, Command, Event, Query
from cqrsbus.bus.gathering import Gathering
from cqrsbus.bus.stream import Stream
from cqrsbus.bus.subscription import Subscription

T = TypeVar("T")
U = TypeVar("U")


class MailboxLocked(Exception):
    pass


class Found(BaseModel):
    total: int


class Find(Query[Found], topic="email.find"):
    subject: str = ""


class FindDeeper(Find):
    depth: int = 1


class FindDeepest(FindDeeper, topic="email.deepest"):
    pass


class Perhaps(Query[Found | None], topic="email.perhaps"):
    pass


class Forget(Query[None], topic="email.forget"):
    pass


class Paged(Query[list[T]], Generic[T], topic="email.paged"):
    pass


class PagedFound(Paged[Found]):
    pass


class Pairs(Query[dict[T, U]], Generic[T, U], topic="email.pairs"):
    pass


class Named(Pairs[str, U], Generic[U]):
    pass


class NewEmail(Command, topic="email.new"):
    pass


class Stored(Event, topic="email.stored"):
    number: int = 0


async def ask(bus: Bus) -> None:
    assert_type(await bus.ask(Find()), Found)
    assert_type(await bus.ask(FindDeeper(), timeout=1, headers={"a": "b"}), Found)
    assert_type(await bus.ask(FindDeepest(), raises=(MailboxLocked,)), Found)
    assert_type(await bus.ask(Perhaps()), Found | None)
    assert_type(await bus.ask(Forget()), None)
    assert_type(await bus.ask(Paged[str]()), list[str])
    assert_type(await bus.ask(PagedFound()), list[Found])
    assert_type(await bus.ask(Pairs[str, int]()), dict[str, int])
    assert_type(await bus.ask(Named[int]()), dict[str, int])

    assert_type(await bus.ask("email.other", Find()), Found)
    assert_type(await bus.ask("email.find", {"subject": ""}, returns=Found), Found)
    assert_type(await bus.ask("email.find", {}, returns=Found, raises=[MailboxLocked], timeout=None), Found)
    assert_type(await bus.ask("email.find", returns=list[Found]), list[Found])
    assert_type(await bus.ask("email.count", returns=int), int)
    assert_type(await bus.ask("email.perhaps", returns=Found | None), Any)
    assert_type(await bus.ask("email.find", {}), Any)


async def ask_wrongly(bus: Bus) -> int:
    number: int = await bus.ask(Find())  # type: ignore[arg-type]  # pyright: ignore[reportAssignmentType]
    await bus.ask(NewEmail())  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await bus.ask(Find(), timeout="1")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await bus.ask(Find(), returns=int)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await bus.ask(Find(), raises=(KeyboardInterrupt,))  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await bus.ask(Find(), raises=MailboxLocked)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    return number


async def generically(bus: Bus, query: Query[T]) -> T:
    return await bus.ask(query)


async def stream_and_gather(bus: Bus) -> None:
    assert_type(bus.stream(Find(), raises=(MailboxLocked,)), Stream[Found])
    assert_type(bus.stream("email.find", {}, returns=Found), Stream[Found])
    assert_type(bus.gather(Paged[int](), quorum=2, raises=(MailboxLocked,)), Gathering[list[int]])
    assert_type(bus.gather("email.find", {}), Gathering[Any])
    async with bus.stream(Find()) as items:
        async for item in items:
            assert_type(item, Found)
    async with bus.gather(Find(), quorum=2) as replies:
        assert_type([reply async for reply in replies], list[Found])
    bus.stream(Stored())  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    bus.gather(Find(), quorum="2")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def send_and_publish(bus: Bus) -> None:
    await bus.send(NewEmail(), wait=True, raises=(MailboxLocked,))
    await bus.send("email.new", {"subject": ""}, message_id="m-1")
    await bus.publish(Stored())
    await bus.publish("email.stored", {}, headers={"a": "b"})

    await bus.send(Find())  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await bus.send(Stored())  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await bus.publish(NewEmail())  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await bus.publish(Stored(), raises=(MailboxLocked,))  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await bus.send(NewEmail(), headers={"a": 1})  # type: ignore[dict-item]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def subscribe(bus: Bus) -> None:
    assert_type(bus.subscribe("email.>", Stored), Subscription[Stored])
    assert_type(bus.subscribe("email.>", dict[str, int], group="g"), Subscription[dict[str, int]])
    assert_type(bus.subscribe("email.>", Stored | None), Subscription[Any])
    assert_type(bus.subscribe("email.>"), Subscription[Any])
    async with bus.subscribe("email.>", Stored) as messages:
        async for message in messages:
            assert_type(message, Stored)
            assert_type(message.number, int)
    bus.subscribe(Stored)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


def blocking(bus: Bus) -> None:
    with bus.sync() as b:
        assert_type(b.ask(Find(), raises=(MailboxLocked,)), Found)
        assert_type(b.ask(Perhaps()), Found | None)
        assert_type(b.ask("email.find", {}, returns=Found, raises=(MailboxLocked,)), Found)
        b.send(NewEmail(), wait=True, raises=(MailboxLocked,))
        b.publish(Stored())
        with b.subscribe("email.>", Stored) as messages:
            for message in messages:
                assert_type(message, Stored)
        b.send(Stored())  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
        b.ask(NewEmail())  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
