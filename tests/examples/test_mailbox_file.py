"""Messages come out of an mbox file as they were before they were put into it."""

import mailbox
from pathlib import Path

import pytest

from examples.email.mailbox_file import open_mailbox, read_messages


def read(path: Path) -> list[bytes]:
    with open_mailbox(path) as box:
        return list(read_messages(box))


def test_each_message_is_read_without_the_line_between(tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.write_bytes(b"From a Mon\nSubject: 1\n\none\n\nFrom b Tue\nSubject: 2\n\ntwo\n")

    assert read(path) == [b"Subject: 1\n\none\n", b"Subject: 2\n\ntwo\n"]


def test_a_quoted_from_loses_one_mark(tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.write_bytes(b"From a Mon\n\n>From here\n>>From there\n > From afar\n>from below\n")

    assert read(path) == [b"\nFrom here\n>From there\n > From afar\n>from below\n"]


def test_a_file_that_is_no_mailbox_has_no_messages(tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.write_bytes(b"\x00\xff not a mailbox")

    assert read(path) == []


def test_a_missing_file_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing\.mbox"):
        open_mailbox(tmp_path / "missing.mbox")

    assert list(tmp_path.iterdir()) == []


def test_what_the_standard_library_writes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "box"
    box = mailbox.mbox(path)
    box.add(b"Subject: x\n\nFrom us\n")
    box.close()

    assert read(path) == [b"Subject: x\n\nFrom us\n"]
