"""The write side's memory: every mail once, in the order it came, in SQLite."""

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from examples.email.messages import Email, StoredEmail

#: Where a page of mails ends, so that it fits into one frame with room to spare.
PAGE_CHARACTERS: Final = 100_000

_SCHEMA: Final = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS emails (
    position INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL UNIQUE,
    content TEXT NOT NULL
);
"""


class MailStore:
    """Keeps mails. Its methods block: call them in a worker thread, one at a time.

    Args:
        path: The database; it is made if there is none.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._database.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the database."""
        self._database.close()

    def add(self, email: Email) -> StoredEmail | None:
        """Keep a mail, and return it with its position; None if its Message-ID is kept already."""
        with self._database:
            cursor = self._database.execute(
                "INSERT INTO emails (message_id, content) VALUES (?, ?) ON CONFLICT (message_id) DO NOTHING",
                (email.message_id, email.model_dump_json()),
            )
        if cursor.rowcount == 0 or cursor.lastrowid is None:
            return None
        return StoredEmail(position=cursor.lastrowid, email=email)

    def count(self) -> int:
        """How many mails there are."""
        (count,) = self._database.execute("SELECT count(*) FROM emails").fetchone()
        return int(count)

    def after(self, position: int) -> list[StoredEmail]:
        """Return the next page of mails after a position; at least one, if there are any."""
        page: list[StoredEmail] = []
        size = 0
        rows = self._database.execute(
            "SELECT position, content FROM emails WHERE position > ? ORDER BY position", (position,)
        )
        for at, content in rows:
            size += len(content)
            if page and size > PAGE_CHARACTERS:
                break
            page.append(StoredEmail(position=at, email=Email.model_validate_json(content)))
        return page
