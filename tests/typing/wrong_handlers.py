"""Functions that are no handlers, which type checkers say. Checked, never run: running it would raise most of these.

Every ignore stands for an intended error: one that is not needed is itself an error, for both checkers.
"""

from collections.abc import AsyncIterator

from cqrsbus import Command, Event, HandlerGroup, Query

group = HandlerGroup()


class NewEmail(Command, topic="email.new"):
    pass


class Stored(Event, topic="email.stored"):
    pass


class Count(Query[int], topic="email.count"):
    pass


async def nothing() -> None: ...
async def by_name_alone(*, command: NewEmail) -> None: ...
async def answering(command: NewEmail) -> int:
    return 1


def answering_in_a_thread(event: Stored) -> str:
    return ""


async def perhaps_answering(event: Stored) -> int | None:
    return None


async def streaming(event: Stored) -> AsyncIterator[int]:
    yield 1


def commands() -> None:
    group.command_handler()(nothing)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    group.command_handler()(by_name_alone)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    group.command_handler()(answering)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    group.command_handler()(answering_in_a_thread)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    group.command_handler()(perhaps_answering)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    group.command_handler()(streaming)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    group.command_handler()(NewEmail)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    group.command_handler("a.b")(3)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


def queries() -> None:
    group.query_handler()(nothing)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    group.query_handler()(by_name_alone)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    group.query_handler("a.b")("count")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


def events() -> None:
    group.event_handler()(nothing)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    group.event_handler()(answering)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    group.event_handler()(answering_in_a_thread)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    group.event_handler()(perhaps_answering)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    group.event_handler()(streaming)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


def decorated() -> None:
    @group.command_handler()  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]
    async def take_nothing() -> None: ...

    @group.event_handler()  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportUntypedFunctionDecorator]
    async def stream(event: Stored) -> AsyncIterator[int]:
        yield 1


def options() -> None:
    group.command_handler(answering)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    group.command_handler("a.b", on_cancel="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    group.command_handler("a.b", group="g")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    group.command_handler("a.b", raises=(KeyboardInterrupt,))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    group.query_handler("a.b", raises=("MailboxLocked",))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    group.query_handler("a.b", raises=ValueError)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    group.event_handler("a.b", raises=(ValueError,))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
