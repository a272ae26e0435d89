"""What the processes say to each other: the one module that all of them share.

The write side numbers the mails it keeps 1, 2, 3, ... without a gap. This position travels with every event, so
whoever listens can tell that an event went missing, and ask for what it lacks.
"""

from pydantic import AwareDatetime, BaseModel, Field

from cqrsbus import Command, Event, Query


class Attachment(BaseModel):
    """A file that came with a mail; ``size`` is in bytes."""

    name: str
    size: int


class Email(BaseModel):
    """One mail, decoded: no charsets, no transfer encodings, no MIME."""

    message_id: str
    subject: str
    sender: str
    recipients: list[str]
    sent_at: AwareDatetime
    text: str
    attachments: list[Attachment]


class StoredEmail(BaseModel):
    """A mail and its position among all that the write side keeps."""

    position: int
    email: Email


class NewEmail(Command, topic="event.email.new"):
    """Keep this mail. Sending it again does no harm: a Message-ID is kept once."""

    email: Email


class EmailStored(Event, topic="event.email.stored"):
    """The write side has kept a mail that it did not have before."""

    stored: StoredEmail


class EmailCount(Query[int], topic="event.email.count"):
    """How many mails does the write side keep? The newest one's position is the same number."""


class EmailList(Query[list[StoredEmail]], topic="event.email.list"):
    """Which mails come next after this position? An empty answer means: there are no more."""

    after: int


class EmailIndexed(Event, topic="event.email.indexed"):
    """The read side can find every mail up to this position."""

    position: int


class EmailSummary(BaseModel):
    """What a list of search results shows of a mail."""

    message_id: str
    subject: str
    sender: str
    sent_at: AwareDatetime
    attachments: list[str]


class EmailQueryResponse(BaseModel):
    """How many mails were found, and the newest of them, newest first."""

    total: int
    emails: list[EmailSummary]


class EmailQuery(Query[EmailQueryResponse], topic="event.email.query"):
    """Which mails contain each of these words, anywhere and as a part of any other word?"""

    text: str
    limit: int = Field(default=20, ge=1, le=100)


class SkippedEmail(BaseModel):
    """A message of a mailbox, counted from 1, that was not sent, and why."""

    number: int
    reason: str


class ImportFinished(Event, topic="event.email.imported"):
    """The importer has been through a whole mailbox."""

    sent: int
    skipped: list[SkippedEmail]
