"""The importer: reads a mailbox file (mbox) and sends each of its messages to the write side.

- At most CONCURRENCY messages are under way; each is sent with ``wait=True``, so the write side sets the pace.
- A message that cannot be read, or that the write side refuses, is reported, skipped and counted.
- When the connection breaks before the answer, the message is sent again: the write side keeps it once.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import anyio
from anyio.to_thread import run_sync
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cqrsbus import Bus, BusError, ConnectionLostError, InvalidMessageError, PayloadTooLargeError, RemoteError
from examples.email.decoding import BrokenEmailError, decode_email
from examples.email.mailbox_file import open_mailbox, read_messages
from examples.email.messages import ImportFinished, NewEmail, SkippedEmail

CONCURRENCY: Final = 16
ATTEMPTS: Final = 3
SAMPLE: Final = Path(__file__).parent / "data" / "sample.mbox"


class Import:
    """One import of one mailbox.

    Args:
        bus: A running bus.
        progress: Where to show how far it is, and what was skipped.
    """

    def __init__(self, bus: Bus, progress: Progress) -> None:
        self._bus = bus
        self._progress = progress
        self._bar = progress.add_task("importing", total=None)
        self._taking = anyio.Lock()
        self._sent = 0
        self._skipped: list[SkippedEmail] = []

    async def run(self, path: Path) -> ImportFinished:
        """Send every message of a mailbox, and tell everyone when it is done.

        Args:
            path: The mbox file.

        Raises:
            FileNotFoundError: There is no such file.
            ExceptionGroup: Of BusErrors: the write side cannot be reached.
        """
        with open_mailbox(path) as box:
            self._progress.update(self._bar, total=await run_sync(len, box))
            messages = enumerate(read_messages(box), start=1)
            async with anyio.create_task_group() as tasks:
                for _ in range(CONCURRENCY):
                    tasks.start_soon(self._work, messages)
        finished = ImportFinished(sent=self._sent, skipped=sorted(self._skipped, key=lambda each: each.number))
        await self._bus.publish(finished)
        return finished

    async def _work(self, messages: Iterator[tuple[int, bytes]]) -> None:
        while True:
            async with self._taking:
                item = await run_sync(next, messages, None)
            if item is None:
                return
            await self._import(*item)
            self._progress.advance(self._bar)

    async def _import(self, number: int, raw: bytes) -> None:
        try:
            await self._send(NewEmail(email=await run_sync(decode_email, raw)))
        except (BrokenEmailError, RemoteError, InvalidMessageError, PayloadTooLargeError) as error:
            self._skipped.append(SkippedEmail(number=number, reason=str(error)))
            self._progress.console.print(f"skipped message {number}: {error}", markup=False, highlight=False)
        else:
            self._sent += 1

    async def _send(self, command: NewEmail) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._bus.send(command, wait=True)
                return
            except ConnectionLostError:
                if attempt == ATTEMPTS:
                    raise


def progress_bar() -> Progress:
    """Return a progress bar on stderr."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, console=Console(stderr=True))


async def import_mailbox(path: Path) -> None:
    """Import a mailbox and print how many messages were sent and skipped."""
    async with Bus("importer") as bus:
        with progress_bar() as progress:
            finished = await Import(bus, progress).run(path)
    print(f"importer: {finished.sent} sent, {len(finished.skipped)} skipped")


def main() -> None:
    """Run the importer as a process of its own."""
    parser = argparse.ArgumentParser(description="Send every message of an mbox file to the write side.")
    parser.add_argument("mailbox", type=Path, nargs="?", default=SAMPLE)
    arguments = parser.parse_args()
    try:
        anyio.run(import_mailbox, arguments.mailbox)
    except* (BusError, OSError) as group:
        sys.exit(f"importer: {group.exceptions[0]}")
    except* KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
