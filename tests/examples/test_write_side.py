"""The write side as a service."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from cqrsbus import Bus
from examples.email.mail_store import MailStore
from examples.email.messages import Email, EmailCount, EmailList, EmailStored, NewEmail, StoredEmail
from examples.email.write_side import make_bus

pytestmark = pytest.mark.anyio

MakeEmail = Callable[..., Email]
URL = "memory:write-side"


@asynccontextmanager
async def running(path: Path) -> AsyncGenerator[Bus]:
    with anyio.fail_after(10), MailStore(path) as store:
        async with make_bus(store, URL), Bus("tester", URL) as bus:
            yield bus


async def test_a_command_is_stored_and_told(tmp_path: Path, make_email: MakeEmail) -> None:
    async with running(tmp_path / "mail.db") as bus, bus.subscribe("event.email.stored", EmailStored) as events:
        await bus.send(NewEmail(email=make_email(1, "账户")), wait=True)

        assert (await anext(events)).stored == StoredEmail(position=1, email=make_email(1, "账户"))
        assert await bus.ask(EmailCount()) == 1


async def test_the_same_mail_is_stored_and_told_once(tmp_path: Path, make_email: MakeEmail) -> None:
    async with running(tmp_path / "mail.db") as bus, bus.subscribe("event.email.stored", EmailStored) as events:
        for number in (1, 1, 2, 1):
            await bus.send(NewEmail(email=make_email(number)), wait=True)

        assert [(await anext(events)).stored.position for _ in range(2)] == [1, 2]
        assert await bus.ask(EmailCount()) == 2


async def test_it_is_still_stored_once_after_a_restart(tmp_path: Path, make_email: MakeEmail) -> None:
    async with running(tmp_path / "mail.db") as bus:
        await bus.send(NewEmail(email=make_email(1)), wait=True)
    async with running(tmp_path / "mail.db") as bus:
        await bus.send(NewEmail(email=make_email(1)), wait=True)

        assert await bus.ask(EmailCount()) == 1


async def test_commands_sent_all_at_once_are_told_in_order(tmp_path: Path, make_email: MakeEmail) -> None:
    async with running(tmp_path / "mail.db") as bus, bus.subscribe("event.email.stored", EmailStored) as events:
        async with anyio.create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(bus.send, NewEmail(email=make_email(number)))

        assert [(await anext(events)).stored.position for _ in range(30)] == list(range(1, 31))


async def test_it_lists_what_comes_after_a_position(tmp_path: Path, make_email: MakeEmail) -> None:
    async with running(tmp_path / "mail.db") as bus:
        for number in (1, 2, 3):
            await bus.send(NewEmail(email=make_email(number)), wait=True)

        assert await bus.ask(EmailList(after=3)) == []
        assert [stored.position for stored in await bus.ask(EmailList(after=1))] == [2, 3]
