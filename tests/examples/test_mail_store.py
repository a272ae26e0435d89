"""The write side's SQLite."""

from collections.abc import Callable
from pathlib import Path

from examples.email.mail_store import PAGE_CHARACTERS, MailStore
from examples.email.messages import Email, StoredEmail

MakeEmail = Callable[..., Email]


def test_mails_are_numbered_in_the_order_they_came(tmp_path: Path, make_email: MakeEmail) -> None:
    with MailStore(tmp_path / "mail.db") as store:
        assert store.add(make_email(7)) == StoredEmail(position=1, email=make_email(7))
        assert store.add(make_email(3)) == StoredEmail(position=2, email=make_email(3))
        assert store.count() == 2


def test_a_message_id_is_kept_once_and_leaves_no_gap(tmp_path: Path, make_email: MakeEmail) -> None:
    with MailStore(tmp_path / "mail.db") as store:
        store.add(make_email(1, "first"))

        assert store.add(make_email(1, "second")) is None
        assert store.add(make_email(2)) == StoredEmail(position=2, email=make_email(2))
        assert [stored.email.subject for stored in store.after(0)] == ["first", "Hello"]


def test_it_remembers_when_opened_again(tmp_path: Path, make_email: MakeEmail) -> None:
    with MailStore(tmp_path / "mail.db") as store:
        store.add(make_email(1, "账户"))

    with MailStore(tmp_path / "mail.db") as store:
        assert store.after(0) == [StoredEmail(position=1, email=make_email(1, "账户"))]
        assert store.add(make_email(1)) is None


def test_what_comes_after_a_position(tmp_path: Path, make_email: MakeEmail) -> None:
    with MailStore(tmp_path / "mail.db") as store:
        for number in (1, 2, 3):
            store.add(make_email(number))

        assert [stored.position for stored in store.after(1)] == [2, 3]
        assert store.after(3) == []


def test_a_page_is_bounded_but_never_empty(tmp_path: Path, make_email: MakeEmail) -> None:
    with MailStore(tmp_path / "mail.db") as store:
        for number in (1, 2, 3):
            store.add(make_email(number, text="x" * (PAGE_CHARACTERS // 2)))
        store.add(make_email(4, text="x" * 2 * PAGE_CHARACTERS))

        assert [stored.position for stored in store.after(0)] == [1]
        assert [stored.position for stored in store.after(3)] == [4]
