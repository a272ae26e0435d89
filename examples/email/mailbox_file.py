"""Reading an mbox file: messages one after the other, each behind a line that starts with "From "."""

import mailbox
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

#: In a text, a line like the one between messages has a ">" in front; a line that already had one has one more.
_QUOTED_FROM: Final = re.compile(rb"^>(>*From )", re.MULTILINE)


def open_mailbox(path: Path) -> closing[mailbox.mbox]:
    """Open an mbox file, for a ``with`` block.

    Raises:
        FileNotFoundError: There is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no mailbox file {path}")
    return closing(mailbox.mbox(path, create=False))


def read_messages(box: mailbox.mbox) -> Iterator[bytes]:
    """Yield the bytes of each message, as they were before they were put into the file."""
    for key in box.iterkeys():
        yield _QUOTED_FROM.sub(rb"\1", box.get_bytes(key))
