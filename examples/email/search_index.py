"""The read side's memory: the mails once more, in the shape that searching needs.

SQLite's full-text index splits text into words by spaces, which Chinese does not have. So the index is one of
trigrams: any three characters in a row. It finds "count" in "Account" as well, and is used for every word of three
or more characters. Shorter ones, and all of them where SQLite came without that index, are found by reading through
all texts: slower, with the same answer.
"""

import sqlite3
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from examples.email.messages import Email, EmailQueryResponse, EmailSummary, StoredEmail

_SCHEMA: Final = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS emails (
    position INTEGER PRIMARY KEY,
    sent_at REAL NOT NULL,
    summary TEXT NOT NULL,
    searchable TEXT NOT NULL
);
"""
_TRIGRAMS: Final = """
CREATE VIRTUAL TABLE IF NOT EXISTS trigrams
USING fts5(searchable, content = 'emails', content_rowid = 'position', tokenize = 'trigram');
"""
_BY_TRIGRAMS: Final = "position IN (SELECT rowid FROM trigrams WHERE trigrams MATCH ?)"
_BY_READING: Final = "instr(searchable, ?) > 0"


class SearchIndex:
    """Finds mails by what they contain. Its methods block: call them in a worker thread, one at a time.

    Args:
        path: The database; it is made if there is none.
        trigrams: Use SQLite's full-text index, if it has one.
    """

    def __init__(self, path: Path, *, trigrams: bool = True) -> None:
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._database.executescript(_SCHEMA)
        self.has_trigrams = trigrams and self._make_trigrams()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the database."""
        self._database.close()

    def position(self) -> int:
        """The position up to which every mail is in the index."""
        (position,) = self._database.execute("SELECT max(position) FROM emails").fetchone()
        return int(position or 0)

    def add(self, mails: Iterable[StoredEmail]) -> None:
        """Add mails; those that are in the index already are left as they are."""
        with self._database:
            for stored in mails:
                self._add(stored.position, stored.email)

    def search(self, text: str, limit: int) -> EmailQueryResponse:
        """Find the mails that contain each word of a text; without a word, all of them.

        Args:
            text: The words, separated by spaces.
            limit: How many mails to return at most; all are counted.
        """
        words = _comparable(text).split()
        where = " AND ".join(self._condition(word) for word in words) or "true"
        values = [self._value(word) for word in words]
        # Only the constants above become part of a statement; what was asked for is passed as a value.
        (total,) = self._database.execute(f"SELECT count(*) FROM emails WHERE {where}", values).fetchone()  # noqa: S608
        found = self._database.execute(
            f"SELECT summary FROM emails WHERE {where} ORDER BY sent_at DESC, position DESC LIMIT ?",  # noqa: S608
            [*values, limit],
        )
        emails = [EmailSummary.model_validate_json(summary) for (summary,) in found]
        return EmailQueryResponse(total=total, emails=emails)

    def _make_trigrams(self) -> bool:
        try:
            self._database.executescript(_TRIGRAMS)
        except sqlite3.OperationalError:
            return False
        return True

    def _add(self, position: int, email: Email) -> None:
        searchable = _searchable(email)
        cursor = self._database.execute(
            "INSERT INTO emails VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (position, email.sent_at.timestamp(), _summary(email).model_dump_json(), searchable),
        )
        if self.has_trigrams and cursor.rowcount:
            self._database.execute("INSERT INTO trigrams (rowid, searchable) VALUES (?, ?)", (position, searchable))

    def _indexed(self, word: str) -> bool:
        return self.has_trigrams and len(word) >= 3

    def _condition(self, word: str) -> str:
        return _BY_TRIGRAMS if self._indexed(word) else _BY_READING

    def _value(self, word: str) -> str:
        return '"' + word.replace('"', '""') + '"' if self._indexed(word) else word


def _comparable(text: str) -> str:
    """Make texts equal that look alike or differ by case only."""
    # SQLite's functions take NUL for the end of a text.
    return unicodedata.normalize("NFKC", text.replace("\0", " ")).casefold()


def _searchable(email: Email) -> str:
    names = [attachment.name for attachment in email.attachments]
    # NUL ends a text for SQLite's functions.
    return _comparable("\n".join([email.subject, email.sender, *email.recipients, email.text, *names])).replace(
        "\0", ""
    )


def _summary(email: Email) -> EmailSummary:
    return EmailSummary(
        message_id=email.message_id,
        subject=email.subject,
        sender=email.sender,
        sent_at=email.sent_at,
        attachments=[attachment.name for attachment in email.attachments],
    )
