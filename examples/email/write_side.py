"""The write side: takes NewEmail commands, keeps the mails, and tells everyone with EmailStored events.

- A mail is kept once, whatever happens: who is not sure that a command arrived may send it again.
- Commands are handled one at a time, so positions are published in order.
- An event may get lost, for instance when this process dies between storing and publishing. The position tells
  who listens, and EmailList is how they catch up.
"""

import argparse
import logging
from pathlib import Path

import anyio
from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from cqrsbus import Bus
from examples.email.mail_store import MailStore
from examples.email.messages import EmailCount, EmailList, EmailStored, NewEmail, StoredEmail


def make_bus(store: MailStore, url: str | None = None) -> Bus:
    """Return the service "mailer" on top of a store.

    Args:
        store: Where mails are kept.
        url: The broker; default: as for every Bus.
    """
    bus = Bus("mailer", url)
    one_at_a_time = CapacityLimiter(1)

    @bus.command_handler()
    async def receive(command: NewEmail) -> None:
        stored = await run_sync(store.add, command.email, limiter=one_at_a_time)
        if stored is not None:
            await bus.publish(EmailStored(stored=stored))

    @bus.query_handler()
    async def count(query: EmailCount) -> int:
        return await run_sync(store.count, limiter=one_at_a_time)

    @bus.query_handler()
    async def list_after(query: EmailList) -> list[StoredEmail]:
        return await run_sync(store.after, query.after, limiter=one_at_a_time)

    return bus


async def serve(database: Path) -> None:
    """Serve until told to stop."""
    with MailStore(database) as store:
        async with make_bus(store) as bus:
            print("mailer: ready", flush=True)
            await bus.run()


def main() -> None:
    """Run the write side as a process of its own."""
    parser = argparse.ArgumentParser(description="The write side: keeps mails in SQLite.")
    parser.add_argument("--database", type=Path, default=Path("mail.db"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    anyio.run(serve, arguments.database)


if __name__ == "__main__":
    main()
