"""The whole system in one go: a broker and three processes, which import a mailbox and answer questions about it.

    python -m examples.email.demo

It works in a temporary directory and on a port that the system chooses. It ends by itself, and at once when it is
told to stop; either way no process stays, and no file.
"""

import signal
import sys
import time
from collections.abc import AsyncIterator
from email.utils import parseaddr
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import anyio
from anyio import CancelScope
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from cqrsbus import Bus, BusError
from examples.email.importer import SAMPLE
from examples.email.messages import EmailCount, EmailIndexed, EmailQuery, EmailQueryResponse, ImportFinished
from examples.email.processes import Processes, ProcessFailedError

MAIL: Final = "mail.db"
INDEX: Final = "search.db"
QUESTIONS: Final = ("Account", "账户", "crane jpg")
ROWS: Final = 5
#: Seconds for everything; it takes a few.
AT_MOST: Final = 60.0
INTERRUPTED: Final = 130

out = Console(highlight=False)
err = Console(highlight=False, stderr=True)


async def demonstrate() -> None:
    """Tell the story from the first process to the last line."""
    began = time.monotonic()
    out.print("\n[bold]A mail archive[/]: one broker, and three processes that know only the broker\n")
    with TemporaryDirectory(prefix="cqrsbus-demo-") as name:
        directory = Path(name)
        processes = Processes(directory)
        try:
            async with processes:
                url = await start(processes, directory)
                async with Bus("demo", url) as bus:
                    finished, stored = await import_sample(bus, processes)
                    for question in QUESTIONS:
                        show(question, await bus.ask(EmailQuery(text=question, limit=ROWS)))
        except (BusError, ProcessFailedError, TimeoutError):
            show_logs(processes)
            raise
    numbers = f"{finished.sent} sent, {stored} stored, {len(finished.skipped)} broken"
    out.print(f"[bold green]Done[/]: {numbers}, took {time.monotonic() - began:.1f} s")
    out.print("[dim]What is sent twice is stored once. Every process has ended, every file is gone.[/]")


async def start(processes: Processes, directory: Path) -> str:
    """Start the broker, then each side of the archive; return the broker's URL."""
    listen = ("-m", "cqrsbus", "broker", "--listen", "tcp://127.0.0.1:0")
    pid, url = await processes.start("broker", *listen, ready="listening on ")
    introduce("broker", pid, f"hands messages on, at {url}")
    processes.environment["CQRSBUS_URL"] = url

    write_side = ("-m", "examples.email.write_side", "--database", str(directory / MAIL))
    pid, _ = await processes.start("mailer", *write_side, ready="mailer: ready")
    introduce("mailer", pid, "keeps mails; hears commands, says events")

    read_side = ("-m", "examples.email.read_side", "--database", str(directory / INDEX))
    pid, _ = await processes.start("search", *read_side, ready="search: ready")
    introduce("search", pid, "indexes mails; hears events, answers queries")
    return url


async def import_sample(bus: Bus, processes: Processes) -> tuple[ImportFinished, int]:
    """Run the importer, and wait until the read side has everything that the write side has."""
    introduce("importer", None, f"reads {SAMPLE.name}, sends commands")
    out.print()
    async with (
        bus.subscribe("event.email.imported", ImportFinished) as imports,
        bus.subscribe("event.email.indexed", EmailIndexed) as indexed,
    ):
        await processes.run("importer", "-m", "examples.email.importer", str(SAMPLE))
        finished = await anext(imports)
        stored = await bus.ask(EmailCount())
        while (await anext(indexed)).position < stored:
            pass
    out.print()
    return finished, stored


def introduce(name: str, pid: int | None, role: str) -> None:
    """Say which process starts, and what for."""
    out.print(f"  [bold cyan]{name:<9}[/] [dim]{f'pid {pid}' if pid else '':<12}[/] {role}")


def show(question: str, answer: EmailQueryResponse) -> None:
    """Print the answer to a question."""
    out.print(f"Which mails contain [bold cyan]{question}[/]? {answer.total} do, the newest are:")
    table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=True)
    table.add_column("sent", no_wrap=True, style="dim")
    table.add_column("from", no_wrap=True, max_width=20)
    table.add_column("subject", no_wrap=True, ratio=3)
    table.add_column("attachments", no_wrap=True, ratio=2)
    for email in answer.emails:
        name, address = parseaddr(email.sender)
        table.add_row(f"{email.sent_at:%Y-%m-%d}", name or address, email.subject, ", ".join(email.attachments))
    out.print(table)


def show_logs(processes: Processes) -> None:
    """Print what the services have said."""
    for name, text in processes.logs().items():
        err.print(f"\n[bold red]{name}[/] said:")
        err.print(text, markup=False, soft_wrap=True)


async def run() -> int:
    """Run the demonstration; return the exit code."""
    status = INTERRUPTED
    # Listening goes on until all is cleaned up and said: an impatient second ctrl-C must not leave half of it behind.
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel_at_signal, signals, tasks.cancel_scope)
            try:
                with anyio.fail_after(AT_MOST):
                    await demonstrate()
                status = 0
            except (BusError, ProcessFailedError, TimeoutError) as error:
                err.print(f"\n[bold red]The demo failed[/]: {str(error) or 'it took too long'}")
                status = 1
            tasks.cancel_scope.cancel()
        if status == INTERRUPTED:
            err.show_cursor()  # which the importer's progress bar had hidden
            out.print("[bold]Stopped[/]: every process has ended, every file is gone.")
    return status


async def cancel_at_signal(signals: AsyncIterator[signal.Signals], scope: CancelScope) -> None:
    """Cancel a scope when this process is told to stop."""
    await anext(signals)
    scope.cancel()


def main() -> None:
    """Run the demonstration as a process."""
    try:
        status = anyio.run(run)
    except KeyboardInterrupt:
        # Told to stop before it listened to signals: nothing has been started yet.
        status = INTERRUPTED
    sys.exit(status)


if __name__ == "__main__":
    main()
