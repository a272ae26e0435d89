"""The importer against a write side, real or failing on purpose."""

import io
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from rich.console import Console
from rich.progress import Progress

from cqrsbus import Broker, Bus, HandlerLostError, NoHandlerError
from examples.email.data.make_sample import HERE, Mail, load, mbox
from examples.email.importer import ATTEMPTS, CONCURRENCY, SAMPLE, Import
from examples.email.mail_store import MailStore
from examples.email.messages import EmailCount, ImportFinished, NewEmail
from examples.email.processes import ROOT
from examples.email.write_side import make_bus

pytestmark = pytest.mark.anyio

URL = "memory:importer"


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


@asynccontextmanager
async def importing(screen: io.StringIO) -> AsyncGenerator[Import]:
    console = Console(file=screen, width=100)
    with anyio.fail_after(20):
        async with Bus("importer", URL) as bus:
            with Progress(console=console) as progress:
                yield Import(bus, progress)


def sound(tmp_path: Path, many: int) -> Path:
    mails = [mail for mail in load(HERE / "mails.toml") if mail.damage == "none"][:many]
    path = tmp_path / "sound.mbox"
    path.write_bytes(mbox(mails))
    return path


def expected_skips(mails: list[Mail]) -> list[int]:
    return [number for number, mail in enumerate(mails, start=1) if mail.damage != "none"]


async def test_the_sample_is_stored_but_for_its_broken_messages(tmp_path: Path, screen: io.StringIO) -> None:
    mails = load(HERE / "mails.toml")
    with MailStore(tmp_path / "mail.db") as store:
        async with make_bus(store, URL) as mailer, importing(screen) as sample:
            async with mailer.subscribe("event.email.imported", ImportFinished) as told:
                finished = await sample.run(SAMPLE)

                assert await anext(told) == finished
            assert await mailer.ask(EmailCount()) == len({mail.id for mail in mails if mail.damage == "none"})

    assert [skipped.number for skipped in finished.skipped] == expected_skips(mails)
    assert finished.sent + len(finished.skipped) == len(mails)
    assert "100%" in screen.getvalue()
    for skipped in finished.skipped:
        assert f"skipped message {skipped.number}: {skipped.reason}" in screen.getvalue()


async def test_what_the_write_side_refuses_is_skipped(tmp_path: Path, screen: io.StringIO) -> None:
    mailer = Bus("mailer", URL)

    @mailer.command_handler()
    async def refuse(command: NewEmail) -> None:
        if command.email.subject == "Re: Welcome back":
            raise ValueError("not that one")

    async with mailer, importing(screen) as three:
        finished = await three.run(sound(tmp_path, 3))

    assert finished.sent == 2
    assert [skipped.number for skipped in finished.skipped] == [2]
    assert "ValueError: not that one" in finished.skipped[0].reason


async def test_never_more_than_so_many_are_under_way(tmp_path: Path, screen: io.StringIO) -> None:
    mailer = Bus("mailer", URL)
    now = most = 0
    full = anyio.Event()

    @mailer.command_handler(concurrency=4 * CONCURRENCY)
    async def count(command: NewEmail) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        if now == CONCURRENCY:
            full.set()
        await full.wait()
        # Whoever is let in too many is in now.
        await anyio.wait_all_tasks_blocked()
        now -= 1

    async with mailer, importing(screen) as many:
        finished = await many.run(sound(tmp_path, 2 * CONCURRENCY))

    assert finished.sent == 2 * CONCURRENCY
    assert most == CONCURRENCY


async def test_without_a_write_side_it_fails_and_says_so(tmp_path: Path, screen: io.StringIO) -> None:
    with pytest.RaisesGroup(NoHandlerError):
        async with importing(screen) as one:
            await one.run(sound(tmp_path, 1))


@pytest.mark.parametrize("lost", [ATTEMPTS - 1, ATTEMPTS])
async def test_a_command_whose_fate_is_unknown_is_sent_again(
    tmp_path: Path, screen: io.StringIO, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    sent: list[str] = []

    async def send(self: Bus, command: NewEmail, *, wait: bool = False) -> None:
        sent.append(command.email.message_id)
        if len(sent) <= lost:
            raise HandlerLostError("it went away", topic="event.email.new")

    monkeypatch.setattr(Bus, "send", send)
    if lost < ATTEMPTS:
        async with importing(screen) as one:
            assert (await one.run(sound(tmp_path, 1))).skipped == []
    else:
        with pytest.RaisesGroup(HandlerLostError):
            async with importing(screen) as one:
                await one.run(sound(tmp_path, 1))

    assert sent == ["<001.01-05@harbour.example>"] * ATTEMPTS


async def test_a_missing_mailbox_is_an_error(tmp_path: Path, screen: io.StringIO) -> None:
    with pytest.raises(FileNotFoundError, match="no mailbox file"):
        async with importing(screen) as nothing:
            await nothing.run(tmp_path / "missing.mbox")


async def run_importer(url: str, *arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "examples.email.importer", *arguments]
    done = await anyio.run_process(command, cwd=ROOT, env={"CQRSBUS_URL": url}, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def test_as_a_process_it_prints_the_result_and_shows_its_progress_on_stderr(tmp_path: Path) -> None:
    with anyio.fail_after(30), MailStore(tmp_path / "mail.db") as store:
        async with Broker("tcp://127.0.0.1:0") as broker, make_bus(store, broker.url):
            code, out, err = await run_importer(broker.url)

    assert (code, out) == (0, "importer: 46 sent, 4 skipped\n")
    assert "skipped message 24: the header Date is missing" in err
    assert "50/50" in err


async def test_as_a_process_it_says_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with Broker("tcp://127.0.0.1:0") as broker:
            no_write_side = await run_importer(broker.url)
            no_file = await run_importer(broker.url, str(tmp_path / "missing.mbox"))

    for code, out, err in (no_write_side, no_file):
        assert (code, out) == (1, "")
        assert "Traceback" not in err
    assert "importer: no handler is connected for 'event.email.new'" in no_write_side[2]
    assert "importer: there is no mailbox file" in no_file[2]
