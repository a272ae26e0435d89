"""From the bytes of a message, as mail programs really write them, to an Email.

The rules:

1. Text is decoded in full or not at all: what would come out damaged is a BrokenEmailError, never a "?".
2. Mail programs name a charset and use a larger one: gb2312 is read as gb18030, ASCII as UTF-8. Each contains the
   other, so nothing that was right before becomes wrong.
3. The text is the plain one of an alternative; of HTML alone, what a reader would see.
4. Without a Message-ID one is made of the content, so that the same message has the same one each time.
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage, MIMEPart
from email.policy import EmailPolicy
from email.utils import getaddresses, parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from examples.email.messages import Attachment, Email
from examples.email.plain_text import plain_text

if TYPE_CHECKING:
    _Policy = EmailPolicy[EmailMessage]
else:
    _Policy = EmailPolicy

_LARGER: Final = {"gb2312": "gb18030", "gbk": "gb18030", "us-ascii": "utf-8", "ascii": "utf-8"}
_GB_WORD: Final = re.compile(r"=\?gb(?:2312|k)\?", re.IGNORECASE)
#: What the email package puts where it could not decode.
_UNDECODED: Final = re.compile("[\ufffd\ud800-\udfff]")


class BrokenEmailError(ValueError):
    """The message cannot be read without loss; the text says what is wrong with it."""


class _MailPolicy(_Policy):
    """Reads gb2312 in headers as what it mostly is."""

    def header_source_parse(self, sourcelines: Sequence[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(list(sourcelines))
        return name, _GB_WORD.sub("=?gb18030?", value)


def decode_email(raw: bytes) -> Email:
    """Decode a message.

    Args:
        raw: Its headers and body.

    Raises:
        BrokenEmailError: It cannot be read without loss.
    """
    try:
        return _decode(message_from_bytes(raw, policy=_MailPolicy()), raw)
    except BrokenEmailError:
        raise
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        # The email package's own parser fails on some malformed headers, in more than one way.
        raise BrokenEmailError(f"malformed ({type(error).__name__}: {error})") from error


def _decode(message: EmailMessage, raw: bytes) -> Email:
    body = message.get_body(("plain", "html"))
    return Email(
        message_id=_header(message, "Message-ID") or _made_id(raw),
        subject=_header(message, "Subject"),
        sender=", ".join(_addresses(message, "From")),
        recipients=_addresses(message, "To") + _addresses(message, "Cc"),
        sent_at=_date(message),
        text="" if body is None else _text(body),
        attachments=[_attachment(part) for part in message.walk() if part is not body and _is_file(part)],
    )


def _header(message: EmailMessage, name: str) -> str:
    value = " ".join(str(message.get(name, "")).split())
    if _UNDECODED.search(value):
        raise BrokenEmailError(f"the header {name} cannot be decoded")
    return value


def _addresses(message: EmailMessage, name: str) -> list[str]:
    pairs = getaddresses([_header(message, name)])
    return [f"{who} <{address}>" if who else address for who, address in pairs if address]


def _date(message: EmailMessage) -> datetime:
    value = _header(message, "Date")
    if not value:
        raise BrokenEmailError("the header Date is missing")
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        raise BrokenEmailError(f"{value!r} is not a date") from None
    # "-0000" is UTC from a sender who does not tell where it is.
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _text(part: MIMEPart) -> str:
    charset = part.get_content_charset("us-ascii")
    try:
        text = _content(part).decode(_LARGER.get(charset, charset))
    except LookupError:
        raise BrokenEmailError(f"the charset {charset!r} is unknown") from None
    except UnicodeDecodeError:
        raise BrokenEmailError(f"the text is not {charset}") from None
    text = plain_text(text) if part.get_content_subtype() == "html" else text
    return text.replace("\r\n", "\n").strip()


def _content(part: MIMEPart) -> bytes:
    """Return what a part carries, out of its transfer encoding."""
    content = part.get_payload(decode=True)
    if any("Base64" in type(defect).__name__ for defect in part.defects):
        raise BrokenEmailError("damaged base64")
    return content if isinstance(content, bytes) else b""


def _is_file(part: EmailMessage) -> bool:
    return not part.is_multipart() and (part.is_attachment() or part.get_filename() is not None)


def _attachment(part: EmailMessage) -> Attachment:
    name = part.get_filename("unnamed")
    if _UNDECODED.search(name):
        raise BrokenEmailError("the name of an attachment cannot be decoded")
    return Attachment(name=name, size=len(_content(part)))


def _made_id(raw: bytes) -> str:
    return f"<{hashlib.sha256(raw).hexdigest()[:32]}@made.invalid>"
