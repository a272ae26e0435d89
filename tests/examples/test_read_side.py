"""The read side as a service, together with the write side it follows."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from cqrsbus import Bus
from examples.email.mail_store import MailStore
from examples.email.messages import Email, EmailIndexed, EmailQuery, EmailStored, NewEmail, StoredEmail
from examples.email.read_side import ReadSide
from examples.email.search_index import SearchIndex
from examples.email.write_side import make_bus

pytestmark = pytest.mark.anyio

MakeEmail = Callable[..., Email]
MakeStored = Callable[..., StoredEmail]
URL = "memory:read-side"


@asynccontextmanager
async def reading(path: Path) -> AsyncGenerator[ReadSide]:
    with SearchIndex(path / "search.db") as index:
        read_side = ReadSide(index, URL)
        async with read_side.bus:
            yield read_side


@asynccontextmanager
async def writing(path: Path) -> AsyncGenerator[Bus]:
    with MailStore(path / "mail.db") as store:
        async with make_bus(store, URL) as bus:
            yield bus


@asynccontextmanager
async def asking() -> AsyncGenerator[Bus]:
    with anyio.fail_after(10):
        async with Bus("tester", URL) as bus:
            yield bus


async def test_what_was_sent_can_be_found(tmp_path: Path, make_email: MakeEmail) -> None:
    async with asking() as bus, writing(tmp_path), reading(tmp_path):
        async with bus.subscribe("event.email.indexed", EmailIndexed) as indexed:
            await bus.send(NewEmail(email=make_email(1, "关于新账户的申请", files=("表.pdf",))))
            assert (await anext(indexed)).position == 1

        answer = await bus.ask(EmailQuery(text="账户"))

        assert answer.total == 1
        assert answer.emails[0].subject == "关于新账户的申请"
        assert answer.emails[0].attachments == ["表.pdf"]


async def test_it_catches_up_with_what_was_stored_before_it_started(tmp_path: Path, make_email: MakeEmail) -> None:
    async with asking() as bus, writing(tmp_path):
        for number in range(1, 6):
            await bus.send(NewEmail(email=make_email(number, text="x" * 40_000)), wait=True)
        async with reading(tmp_path) as read_side:
            assert (await bus.ask(EmailQuery(text=""))).total == 0

            await read_side.catch_up()

            assert (await bus.ask(EmailQuery(text=""))).total == 5, "over several pages"


async def test_it_fetches_what_it_missed_when_an_event_shows_a_gap(tmp_path: Path, make_email: MakeEmail) -> None:
    async with asking() as bus, writing(tmp_path):
        for number in (1, 2):
            await bus.send(NewEmail(email=make_email(number)), wait=True)
        async with reading(tmp_path), bus.subscribe("event.email.indexed", EmailIndexed) as indexed:
            await bus.send(NewEmail(email=make_email(3)))

            assert (await anext(indexed)).position == 3
            assert (await bus.ask(EmailQuery(text=""))).total == 3


async def test_an_event_that_comes_again_changes_nothing(tmp_path: Path, make_stored: MakeStored) -> None:
    async with asking() as bus, reading(tmp_path), bus.subscribe("event.email.indexed", EmailIndexed) as indexed:
        for number in (1, 1, 2):
            await bus.publish(EmailStored(stored=make_stored(number)))

        assert [(await anext(indexed)).position for _ in range(2)] == [1, 2]
        assert (await bus.ask(EmailQuery(text=""))).total == 2


async def test_it_starts_without_a_write_side(tmp_path: Path) -> None:
    async with asking() as bus, reading(tmp_path) as read_side:
        await read_side.catch_up()

        assert (await bus.ask(EmailQuery(text=""))).total == 0


async def test_it_goes_on_where_it_stopped(tmp_path: Path, make_email: MakeEmail) -> None:
    async with asking() as bus, writing(tmp_path):
        async with reading(tmp_path), bus.subscribe("event.email.indexed", EmailIndexed) as indexed:
            await bus.send(NewEmail(email=make_email(1)))
            await anext(indexed)
        await bus.send(NewEmail(email=make_email(2)), wait=True)
        async with reading(tmp_path) as read_side, bus.subscribe("event.email.indexed", EmailIndexed) as indexed:
            await read_side.catch_up()

            assert (await anext(indexed)).position == 2
            assert (await bus.ask(EmailQuery(text=""))).total == 2
