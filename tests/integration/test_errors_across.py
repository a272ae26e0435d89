"""Errors from a handler to its caller: declared ones as they are, any other as a RemoteError with the facts."""

import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from anyio.to_thread import run_sync

from cqrsbus import Broker, Bus, Call, Command, Context, InvalidMessageError, NextCall, Query, RemoteError

pytestmark = pytest.mark.anyio

UNTIL = datetime(2027, 1, 1, tzinfo=UTC)


class MailboxLocked(Exception):
    def __init__(self, folder: str, *, until: datetime) -> None:
        super().__init__(f"{folder} is locked")
        self.folder = folder
        self.until = until


class LockedForGood(MailboxLocked):
    def __init__(self, folder: str) -> None:
        super().__init__(folder, until=UNTIL)


class MailboxGone(Exception):
    pass


class Open(Query[int], topic="mail.open", raises=(MailboxLocked,)):
    folder: str = "inbox"


class Close(Command, topic="mail.close", raises=(MailboxLocked,)):
    folder: str = "inbox"


def mailer(url: str, fail: Callable[[], Exception], *, codec: str = "msgpack", tracebacks: bool = False) -> Bus:
    """A service whose every handler fails."""
    bus = Bus("mailer", url, codec=codec, send_tracebacks=tracebacks)

    @bus.query_handler(raises=(MailboxGone,))
    async def open_mailbox(query: Open) -> int:
        raise fail()

    @bus.command_handler(raises=(MailboxGone,))
    def close_mailbox(command: Close) -> None:
        raise fail()

    @bus.query_handler("mail.plain")
    async def plain(folder: str) -> int:
        raise fail()

    return bus


def locked() -> Exception:
    return MailboxLocked("inbox", until=UNTIL)


@pytest.mark.parametrize("codec", ["msgpack", "json"])
@pytest.mark.parametrize("fail", [locked, lambda: LockedForGood("inbox")], ids=["itself", "a subclass"])
async def test_a_declared_error_arrives_with_its_fields(url: str, codec: str, fail: Callable[[], Exception]) -> None:
    with anyio.fail_after(10):
        async with mailer(url, fail, codec=codec), Bus("desk", url) as desk:
            for call in (
                lambda: desk.ask(Open()),
                lambda: desk.send(Close(), wait=True),
                lambda: desk.ask("mail.open", {}, raises=(MailboxLocked,)),
                lambda: desk.send("mail.close", {}, wait=True, raises=[MailboxLocked]),
            ):
                with pytest.raises(MailboxLocked, match=r"^inbox is locked$") as caught:
                    await call()
                assert type(caught.value) is MailboxLocked
                assert (caught.value.folder, caught.value.until) == ("inbox", UNTIL)
                cause = caught.value.__cause__
                assert isinstance(cause, RemoteError)
                assert (cause.type, cause.service) == ("MailboxLocked", "mailer")
                assert cause.correlation_id


async def test_a_declared_error_is_trouble_only_where_nobody_waits_for_it(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    def levels() -> set[int]:
        return {record.levelno for record in caplog.records if " failed on message " in record.getMessage()}

    caplog.set_level("INFO", "cqrsbus")
    with anyio.fail_after(10):
        async with Bus("desk", url) as desk:
            async with mailer(url, locked):
                for call in (lambda: desk.ask(Open()), lambda: desk.send(Close(), wait=True)):
                    with pytest.raises(MailboxLocked):
                        await call()
                assert levels() == {logging.INFO}
                caplog.clear()
                await desk.send(Close())
            assert levels() == {logging.ERROR}


async def test_both_sides_must_declare_it(url: str) -> None:
    with anyio.fail_after(10):
        async with mailer(url, lambda: MailboxGone("inbox")) as bus:
            with pytest.raises(RemoteError) as caught:
                await bus.ask(Open())  # the handler does, the query's class does not
            assert caught.value.type == "MailboxGone"
            with pytest.raises(RemoteError, match=r"in 'mailer' failed for 'mail\.plain': MailboxGone: inbox"):
                await bus.ask("mail.plain", "inbox", raises=(MailboxGone,))  # the handler does not
            with pytest.raises(MailboxGone) as gone:
                await bus.ask(Open(), raises=(MailboxGone,))
            assert gone.value.args == ("inbox",)
            with pytest.raises(MailboxGone):
                await bus.send(Close(), wait=True, raises=(MailboxGone,))


async def test_who_does_not_wait_is_not_told(url: str) -> None:
    with anyio.fail_after(10):
        async with mailer(url, locked) as bus:
            await bus.send(Close())
            with pytest.raises(TypeError, match="add it, or leave out raises="):
                await bus.send(Close(), raises=(MailboxLocked,))


async def test_fields_that_do_not_fit_into_a_frame_are_left_out(url: str) -> None:
    with anyio.fail_after(10):
        async with mailer(url, lambda: MailboxGone("x" * 2**21)) as bus:
            with pytest.raises(RemoteError) as caught:
                await bus.ask(Open(), raises=(MailboxGone,))
            assert caught.value.type == "MailboxGone"
            assert len(caught.value.message) == 1000
            assert bus.status == "connected"


async def test_an_error_crosses_two_hops_if_each_declares_it(url: str) -> None:
    desk = Bus("desk", url)

    @desk.query_handler("desk.open", raises=(MailboxLocked,))
    async def relay(folder: str) -> int:
        return await desk.ask(Open(folder=folder))

    @desk.query_handler("desk.plain")
    async def relay_as_it_comes(folder: str) -> int:
        return await desk.ask("mail.open", {"folder": folder}, returns=int)

    with anyio.fail_after(10):
        async with mailer(url, locked), desk:
            with pytest.raises(MailboxLocked) as caught:
                await desk.ask("desk.open", "inbox", raises=(MailboxLocked,))
            assert caught.value.until == UNTIL
            assert isinstance(caught.value.__cause__, RemoteError)
            assert caught.value.__cause__.service == "desk"
            with pytest.raises(RemoteError) as other:
                await desk.ask("desk.plain", "inbox", raises=(MailboxLocked,))
            assert other.value.type == "RemoteError"
            assert "the handler in 'mailer' failed for 'mail.open': MailboxLocked: inbox is locked" in str(other.value)


async def test_an_error_belongs_to_the_conversation_of_its_message(url: str) -> None:
    bus, seen = Bus("mailer", url), list[str]()

    @bus.query_handler("inner")
    async def inner(number: int, ctx: Context) -> int:
        seen.append(ctx.correlation_id)
        raise LookupError

    @bus.query_handler("outer")
    async def outer(number: int, ctx: Context) -> str:
        try:
            await bus.ask("inner", number)
        except RemoteError as error:
            return error.correlation_id
        return ""

    with anyio.fail_after(10):
        async with bus:
            with pytest.raises(RemoteError) as caught:
                await bus.ask("inner", 1)
            told = await bus.ask("outer", 2, returns=str)
    assert [caught.value.correlation_id, told] == seen
    assert seen[0] != seen[1]


async def test_middleware_sees_the_error_that_is_raised(url: str) -> None:
    seen = list[Exception]()
    with anyio.fail_after(10):
        bus = mailer(url, locked)

        @bus.call_middleware
        async def note(call: Call, call_next: NextCall) -> Any:
            try:
                return await call_next(call)
            except Exception as error:
                seen.append(error)
                raise

        async with bus:
            with pytest.raises(MailboxLocked) as asked:
                await bus.ask(Open())
            with pytest.raises(MailboxLocked) as sent:
                await bus.send(Close(), wait=True)
    assert seen == [asked.value, sent.value]


@pytest.mark.parametrize("tracebacks", [True, False])
async def test_a_traceback_comes_only_if_it_is_sent(url: str, tracebacks: bool) -> None:
    with anyio.fail_after(10):
        async with mailer(url, locked, tracebacks=tracebacks) as bus:
            with pytest.raises(MailboxLocked) as caught:
                await bus.ask(Open())
            with pytest.raises(RemoteError) as plain:
                await bus.send("mail.close", {}, wait=True)
    for error in (caught.value.__cause__, plain.value):
        assert isinstance(error, RemoteError)
        if tracebacks:
            assert "raise fail()" in (error.traceback or "")
            assert error.__notes__ == [f"Where the handler raised it:\n{error.traceback}"]
        else:
            assert error.traceback is None
            assert not hasattr(error, "__notes__")


async def test_many_at_once_each_get_their_own(url: str) -> None:
    bus, told = Bus("mailer", url), dict[str, str]()

    @bus.query_handler()
    async def open_mailbox(query: Open) -> int:
        await anyio.lowlevel.checkpoint()
        raise MailboxLocked(query.folder, until=UNTIL)

    async def ask(folder: str) -> None:
        with pytest.raises(MailboxLocked) as caught:
            await bus.ask(Open(folder=folder))
        told[folder] = caught.value.folder

    with anyio.fail_after(10):
        async with bus, anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(ask, str(number))
    assert told == {str(number): str(number) for number in range(100)}


async def test_a_blocking_call_raises_the_same(broker: Broker) -> None:
    def ask() -> None:
        with Bus("desk", broker.url).sync() as desk:
            with pytest.raises(MailboxLocked):
                desk.ask(Open())
            with pytest.raises(MailboxGone):
                desk.send("mail.close", {}, wait=True, raises=(MailboxGone,))

    errors = iter([locked(), MailboxGone()])
    with anyio.fail_after(20):
        async with mailer(broker.url, lambda: next(errors)):
            await run_sync(ask)


async def test_an_invalid_message_is_explained_and_its_input_not_echoed(url: str) -> None:
    bus = Bus("strict", url)

    @bus.query_handler("numbers.sum")
    async def answer(numbers: list[int]) -> int:
        return sum(numbers)

    @bus.command_handler("numbers.keep")
    async def keep(numbers: list[int]) -> None: ...

    with anyio.fail_after(10):
        async with bus:
            for call in (
                lambda: bus.ask("numbers.sum", ["secret"] * 50),
                lambda: bus.send("numbers.keep", ["secret"] * 50, wait=True),
            ):
                with pytest.raises(InvalidMessageError) as caught:
                    await call()
                assert len(caught.value.entries) == 20
                assert [entry["loc"] for entry in caught.value.entries] == [(number,) for number in range(20)]
                assert all(entry.keys() == {"loc", "msg", "type"} for entry in caught.value.entries)
                assert "secret" not in str(caught.value) + repr(caught.value.entries)
            assert await bus.ask("numbers.sum", [1, 2]) == 3


async def test_a_stream_ends_with_the_declared_error_after_what_came_before(url: str) -> None:
    bus = Bus("mailer", url)

    @bus.query_handler()
    async def read(query: Open) -> AsyncIterator[int]:
        yield 1
        yield 2
        raise MailboxLocked(query.folder, until=UNTIL)

    @bus.query_handler("mail.plain", raises=(MailboxGone,))
    async def plain(folder: str) -> AsyncIterator[int]:
        yield 1
        raise MailboxGone(folder)

    with anyio.fail_after(10):
        async with bus:
            async with bus.stream(Open()) as items:
                assert [await anext(items), await anext(items)] == [1, 2]
                with pytest.raises(MailboxLocked) as caught:
                    await anext(items)
            assert caught.value.until == UNTIL
            assert isinstance(caught.value.__cause__, RemoteError)
            assert caught.value.__cause__.correlation_id
            async with bus.stream("mail.plain", "inbox", raises=(MailboxGone,)) as gone:
                assert await anext(gone) == 1
                with pytest.raises(MailboxGone, match="inbox"):
                    await anext(gone)
            async with bus.stream("mail.plain", "inbox") as unexpected:
                assert await anext(unexpected) == 1
                with pytest.raises(RemoteError, match="MailboxGone: inbox"):
                    await anext(unexpected)


async def test_of_every_instance_that_failed_the_declared_error_is_listed(url: str) -> None:
    with anyio.fail_after(10):
        async with mailer(url, locked) as first, mailer(url, lambda: MailboxGone("inbox")) as second:
            for raises, gone in [((), RemoteError), ((MailboxGone,), MailboxGone)]:
                async with first.gather(Open(), raises=raises) as replies:
                    assert [reply async for reply in replies] == []
                failed = {failure.instance.name: failure.error for failure in replies.failed}
                assert {name: type(error) for name, error in failed.items()} == {
                    first.instance: MailboxLocked,
                    second.instance: gone,
                }
