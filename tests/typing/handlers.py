"""What type checkers see of decorated functions: exactly what was written. Checked, never run.

Every ignore stands for an intended error: one that is not needed is itself an error, for both checkers.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Protocol, assert_type

from cqrsbus import Bus, Command, Context, Event, HandlerGroup, Query, get_context
from cqrsbus.bus.registry import Handler

group = HandlerGroup()
bus = Bus("mailer")


class MailboxLocked(Exception):
    pass


class NewEmail(Command, topic="email.new", raises=(MailboxLocked,)):
    subject: str


class Stored(Event, topic="email.stored"):
    pass


class Count(Query[int], topic="email.count"):
    folder: str = "inbox"


class Perhaps(Query[int | None], topic="email.perhaps"):
    pass


class Forget(Query[None], topic="email.forget"):
    pass


# Functions.


@group.command_handler("email.other")
@group.command_handler(concurrency=4, on_cancel="cancel", raises=(MailboxLocked,))
async def receive(command: NewEmail, *, dry_run: bool = False) -> None: ...


@group.command_handler("email.sync", ordered_by="subject")
def receive_in_a_thread(ctx: Context, command: NewEmail, *more: int, **others: str) -> None: ...


@group.query_handler(raises=[MailboxLocked])
async def count(query: Count, ctx: Context) -> int:
    return len(query.folder)


@group.query_handler("email.sync.count")
def count_in_a_thread(query: Count) -> int:
    return 1


@group.query_handler()
async def perhaps(query: Perhaps, /) -> int | None:
    return None


@group.query_handler()
async def forget(query: Forget) -> None: ...


@group.query_handler("email.numbers")
async def numbers(query: Count) -> AsyncIterator[int]:
    yield 1


@group.event_handler("email.*", group="audit")
def audit(event: Stored, ctx: Context | None = None) -> None: ...


@bus.event_handler("email.>")
async def watch(event: Stored | dict[str, int]) -> None: ...


class Receive(Protocol):
    """The signature of receive, with the names and the defaults of its parameters."""

    def __call__(self, command: NewEmail, *, dry_run: bool = False) -> Awaitable[None]: ...


async def use(ctx: Context) -> None:
    exact: Receive = receive
    counted: Callable[[Count, Context], Awaitable[int]] = count
    await exact(NewEmail(subject=""), dry_run=True)
    await counted(Count(), ctx)

    assert_type(await receive(command=NewEmail(subject=""), dry_run=True), None)
    assert_type(receive_in_a_thread(ctx, NewEmail(subject=""), 1, two="2"), None)
    assert_type(await count(Count(), ctx), int)
    assert_type(count_in_a_thread(query=Count()), int)
    assert_type(await perhaps(Perhaps()), int | None)
    assert_type(await forget(Forget()), None)
    assert_type(numbers(Count()), AsyncIterator[int])
    assert_type(audit(Stored()), None)
    assert_type(audit(event=Stored(), ctx=ctx), None)
    assert_type(await watch({"a": 1}), None)

    await receive(Stored())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await receive(NewEmail(subject=""), True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await receive(NewEmail(subject=""), wet_run=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await count(Count())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await perhaps(query=Perhaps())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    audit(Stored(), 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Methods, and objects that can be called.


class Mailbox:
    async def receive(self, command: NewEmail, ctx: Context) -> None: ...

    @staticmethod
    async def receive_static(command: NewEmail) -> None: ...

    @classmethod
    async def receive_class(cls, command: NewEmail) -> None: ...

    def __call__(self, command: NewEmail) -> None: ...


def methods(mailbox: Mailbox) -> object:
    bound = group.command_handler("a")(mailbox.receive)
    method: Callable[[NewEmail, Context], Awaitable[None]] = bound
    static: Callable[[NewEmail], Awaitable[None]] = group.command_handler("b")(Mailbox.receive_static)
    of_class: Callable[[NewEmail], Awaitable[None]] = group.command_handler("c")(Mailbox.receive_class)
    assert_type(group.command_handler("d")(mailbox), Mailbox)
    assert_type(group.event_handler("e")(partial(audit, ctx=None)), partial[None])
    return method, static, of_class


def look(ctx: Context) -> None:
    assert_type(get_context(), Context | None)
    assert_type(group.handlers, tuple[Handler, ...])
    assert_type(ctx.remaining(), float | None)
    assert_type(ctx.causation_id, str | None)
    ctx.topic = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    ctx.headers["name"] = "value"  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
