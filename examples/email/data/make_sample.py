"""Writes sample.mbox from mails.toml, byte for byte the same each time.

It does by hand what mail programs do, and what they do wrong, so it leaves the standard library's own writer aside.
Run it after a change: ``python -m examples.email.data.make_sample``.
"""

import base64
import quopri
import re
import tomllib
from datetime import UTC
from email.utils import format_datetime
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from pydantic import AwareDatetime, BaseModel

HERE: Final = Path(__file__).parent
SAMPLE: Final = HERE / "sample.mbox"
#: An encoded word is at most 75 characters long.
CHARACTERS_PER_WORD: Final = 12

Damage = Literal["none", "base64", "charset", "no date", "bytes"]


class File(BaseModel):
    """An attachment: a name, and a text or a number of bytes."""

    name: str
    text: str = ""
    size: int = 0
    #: How the name is written: in the way of the standard, or in the way of many mail programs.
    name_as: Literal["parameter", "encoded word"] = "parameter"

    @property
    def content(self) -> bytes:
        """The bytes of the file."""
        return self.text.encode() or bytes(number % 251 for number in range(self.size))


class Mail(BaseModel):
    """One mail, and how it is written."""

    id: str
    date: AwareDatetime
    sender: str
    to: list[str]
    subject: str
    text: str = ""
    html: str = ""
    files: list[File] = []
    #: What the charset is called, and what is really written.
    charset: str = "utf-8"
    written_in: str = ""
    encoding: Literal["7bit", "8bit", "base64", "quoted-printable"] = "7bit"
    damage: Damage = "none"


def mbox(mails: list[Mail]) -> bytes:
    """Return the mailbox file that contains these mails."""
    return b"".join(_separator(mail) + _quoted(_message(mail)) + b"\n" for mail in mails)


def load(path: Path) -> list[Mail]:
    """Read mails from a TOML file."""
    return [Mail.model_validate(entry) for entry in tomllib.loads(path.read_text("utf-8"))["mail"]]


def _separator(mail: Mail) -> bytes:
    return f"From {mail.id} {mail.date.astimezone(UTC):%a %b %d %H:%M:%S %Y}\n".encode()


def _quoted(message: bytes) -> bytes:
    return re.sub(rb"^(>*From )", rb">\1", message, flags=re.MULTILINE)


def _message(mail: Mail) -> bytes:
    headers = [
        f"Message-ID: <{mail.id}>",
        f"Date: {format_datetime(mail.date)}",
        f"From: {_address(mail.sender, mail)}",
        f"To: {_folded([_address(to, mail) for to in mail.to])}",
        f"Subject: {_words(mail.subject, mail)}",
        "MIME-Version: 1.0",
    ]
    if mail.damage == "no date":
        del headers[1]
    return "\n".join(headers).encode() + b"\n" + _body(mail)


def _body(mail: Mail) -> bytes:
    parts = [_text(mail, mail.text, "plain")] if mail.text else []
    if mail.html:
        parts.append(_text(mail, mail.html, "html"))
    if len(parts) > 1:
        parts = [_multipart("alternative", mail, parts)]
    if mail.files:
        parts = [_multipart("mixed", mail, [*parts, *(_file(file, mail) for file in mail.files)])]
    return parts[0]


def _multipart(kind: str, mail: Mail, parts: list[bytes]) -> bytes:
    boundary = f"=_{kind}_{mail.id.partition('@')[0]}"
    head = f'Content-Type: multipart/{kind}; boundary="{boundary}"\n\nThis is a message in several parts.\n'
    inner = b"".join(f"--{boundary}\n".encode() + part + b"\n" for part in parts)
    return head.encode() + inner + f"--{boundary}--\n".encode()


def _text(mail: Mail, text: str, kind: str) -> bytes:
    content = (text.rstrip() + "\n").encode(mail.written_in or mail.charset)
    if mail.damage == "bytes":
        content = content[:-2] + b"\xff\xfe\n"
    charset = "x-nobody-knows" if mail.damage == "charset" else mail.charset
    head = f'Content-Type: text/{kind}; charset="{charset}"\nContent-Transfer-Encoding: {mail.encoding}\n\n'
    return head.encode() + _transfer(content, mail)


def _transfer(content: bytes, mail: Mail) -> bytes:
    match mail.encoding:
        case "base64":
            encoded = base64.encodebytes(content)
            return encoded.rstrip(b"=\n")[:-1] + b"\n" if mail.damage == "base64" else encoded
        case "quoted-printable":
            return quopri.encodestring(content)
        case _:
            return content


def _file(file: File, mail: Mail) -> bytes:
    if file.name_as == "encoded word":
        name = f'filename="{_words(file.name, mail)}"'
    elif file.name.isascii():
        name = f'filename="{file.name}"'
    else:
        name = f"filename*=utf-8''{quote(file.name)}"
    head = (
        "Content-Type: application/octet-stream\n"
        f"Content-Disposition: attachment; {name}\n"
        "Content-Transfer-Encoding: base64\n\n"
    )
    return head.encode() + base64.encodebytes(file.content)


def _address(address: str, mail: Mail) -> str:
    name, _, rest = address.rpartition(" ")
    return f"{_words(name, mail)} {rest}" if name else address


def _words(text: str, mail: Mail) -> str:
    """Write a text into a header: as encoded words if need be, on more lines if it is long."""
    if text.isascii():
        return _folded(text.split(" "), "")
    charset, written_in = mail.charset, mail.written_in or mail.charset
    pieces = [text[at : at + CHARACTERS_PER_WORD] for at in range(0, len(text), CHARACTERS_PER_WORD)]
    words = [base64.b64encode(piece.encode(written_in)).decode() for piece in pieces]
    return "\n ".join(f"=?{charset}?B?{word}?=" for word in words)


def _folded(words: list[str], comma: str = ",") -> str:
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) > 60:
            lines.append("")
        lines[-1] += word + comma + " "
    return "\n ".join(line.rstrip() for line in lines).removesuffix(comma)


if __name__ == "__main__":
    SAMPLE.write_bytes(mbox(load(HERE / "mails.toml")))
