"""Mails to try the archive with."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from examples.email.messages import Attachment, Email, StoredEmail

MakeEmail = Callable[..., Email]
MakeStored = Callable[..., StoredEmail]


def email(number: int = 1, subject: str = "Hello", text: str = "", files: tuple[str, ...] = ()) -> Email:
    return Email(
        message_id=f"<{number}@test.example>",
        subject=subject,
        sender="Ada <ada@test.example>",
        recipients=["ben@test.example"],
        sent_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number),
        text=text,
        attachments=[Attachment(name=name, size=1) for name in files],
    )


def stored(number: int = 1, subject: str = "Hello", text: str = "", files: tuple[str, ...] = ()) -> StoredEmail:
    return StoredEmail(position=number, email=email(number, subject, text, files))


@pytest.fixture
def make_email() -> MakeEmail:
    """Return a function that makes the mail with a number."""
    return email


@pytest.fixture
def make_stored() -> MakeStored:
    """Return a function that makes the mail with a number, stored at that position."""
    return stored
