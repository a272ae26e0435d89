"""Messages as mail programs write them, rightly and wrongly."""

import base64
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.email.data.make_sample import HERE, SAMPLE, Mail, load
from examples.email.decoding import BrokenEmailError, decode_email
from examples.email.mailbox_file import open_mailbox, read_messages
from examples.email.messages import Attachment, Email

DATE = b"Date: Mon, 5 Jan 2026 08:30:00 +0800\n"


def messages(path: Path) -> list[bytes]:
    with open_mailbox(path) as box:
        return list(read_messages(box))


SAMPLES = list(zip(load(HERE / "mails.toml"), messages(SAMPLE), strict=True))
SAMPLE_BYTES = [raw for _, raw in SAMPLES]
SOUND = [pytest.param(mail, raw, id=mail.id) for mail, raw in SAMPLES if mail.damage == "none"]
BROKEN = [pytest.param(mail, raw, id=mail.damage) for mail, raw in SAMPLES if mail.damage != "none"]
REASONS = {
    "no date": "the header Date is missing",
    "base64": "damaged base64",
    "charset": "the charset 'x-nobody-knows' is unknown",
    "bytes": "the text is not utf-8",
}


def decode(headers: bytes, body: bytes = b"") -> Email:
    return decode_email(headers + DATE + b"\n" + body)


def word(text: str, charset: str, written_in: str = "") -> bytes:
    return f"=?{charset}?B?{base64.b64encode(text.encode(written_in or charset)).decode()}?=".encode()


@pytest.mark.parametrize(("mail", "raw"), SOUND)
def test_every_sound_message_of_the_sample_is_read_as_it_was_meant(mail: Mail, raw: bytes) -> None:
    email = decode_email(raw)

    assert email.message_id == f"<{mail.id}>"
    assert email.subject == mail.subject
    assert email.sender == mail.sender
    assert email.recipients == mail.to
    assert email.sent_at == mail.date
    assert email.sent_at.utcoffset() == mail.date.utcoffset()
    assert email.attachments == [Attachment(name=file.name, size=len(file.content)) for file in mail.files]
    if mail.text:
        assert email.text == mail.text
    else:
        assert email.text == "今天有大风。\nStrong winds & high waves until noon."


@pytest.mark.parametrize(("mail", "raw"), BROKEN)
def test_every_broken_message_of_the_sample_is_refused_with_the_reason(mail: Mail, raw: bytes) -> None:
    with pytest.raises(BrokenEmailError) as caught:
        decode_email(raw)

    assert str(caught.value) == REASONS[mail.damage]


@pytest.mark.parametrize("charset", ["gb2312", "GBK", "gb18030"])
def test_a_chinese_subject_is_read_whatever_its_charset_is_called(charset: str) -> None:
    subject = b"Subject: " + word("朱镕先生的账户", charset, "gb18030") + b"\n"

    assert decode(subject).subject == "朱镕先生的账户"


def test_encoded_words_on_several_lines_are_one_text() -> None:
    subject = b"Subject: " + word("会议", "utf-8") + b"\n " + word("纪要", "gb2312") + b"\n\tof today\n"

    assert decode(subject).subject == "会议纪要 of today"


def test_a_comma_in_an_encoded_name_does_not_make_two_senders() -> None:
    email = decode(b"From: =?utf-8?Q?M=C3=BCller=2C_Zo=C3=AB?= <zoe@harbour.example>\n")

    assert email.sender == "Müller, Zoë <zoe@harbour.example>"


def test_recipients_are_those_of_to_and_cc() -> None:
    email = decode(b"To: a@x.example, b@x.example\nCc: C D <c@x.example>\n")

    assert email.recipients == ["a@x.example", "b@x.example", "C D <c@x.example>"]


def test_headers_and_text_in_plain_utf_8_are_read() -> None:
    email = decode("Subject: 账户\n".encode(), "你好".encode())

    assert (email.subject, email.text) == ("账户", "你好")


def test_a_subject_that_cannot_be_decoded_is_refused() -> None:
    with pytest.raises(BrokenEmailError, match="header Subject cannot be decoded"):
        decode(b"Subject: =?utf-8?B?/////w==?=\n")


def test_an_attachment_whose_name_cannot_be_decoded_is_refused() -> None:
    headers = b'Content-Type: multipart/mixed; boundary="b"\n'
    part = b"--b\nContent-Disposition: attachment; filename*=utf-8''%ff%fe\n\nx\n--b--\n"

    with pytest.raises(BrokenEmailError, match="name of an attachment"):
        decode(headers, part)


@pytest.mark.parametrize("date", [b"soon", b"Mon, 99 Jan 2026 08:30:00 +0000", b"2026"])
def test_a_date_that_is_none_is_refused(date: bytes) -> None:
    with pytest.raises(BrokenEmailError, match="is not a date"):
        decode_email(b"Date: " + date + b"\n\n")


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        (b"+0800", timezone(timedelta(hours=8))),
        (b"-0330", -timedelta(hours=3, minutes=30)),
        (b"GMT", UTC),
        (b"-0000", UTC),
    ],
)
def test_a_date_keeps_its_zone(zone: bytes, expected: timezone | timedelta) -> None:
    at = decode_email(b"Date: Mon, 5 Jan 2026 08:30:00 " + zone + b"\n\n").sent_at

    tz = timezone(expected) if isinstance(expected, timedelta) else expected
    assert at == datetime(2026, 1, 5, 8, 30, tzinfo=tz)
    assert at.utcoffset() == tz.utcoffset(None)


def test_without_a_message_id_the_same_message_has_the_same_one_each_time() -> None:
    one, again, other = decode(b"Subject: a\n"), decode(b"Subject: a\n"), decode(b"Subject: b\n")

    assert one.message_id == again.message_id != other.message_id
    assert one.message_id.startswith("<")


def test_a_message_of_nothing_but_a_file_has_no_text() -> None:
    email = decode(b"Content-Type: image/png\nContent-Disposition: attachment; filename=a.png\n", b"xyz")

    assert email.text == ""
    assert email.attachments == [Attachment(name="a.png", size=3)]


def test_a_damaged_attachment_is_noticed() -> None:
    headers = b"Content-Type: image/png; name=a.png\nContent-Transfer-Encoding: base64\n"

    with pytest.raises(BrokenEmailError, match="damaged base64"):
        decode(headers, b"AAAAA")


@given(raw=st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    assert sent_or_refused(raw)


@given(at=st.integers(0, 2000), new=st.binary(min_size=1, max_size=3), whole=st.sampled_from(SAMPLE_BYTES))
def test_a_damaged_message_is_read_or_refused(at: int, new: bytes, whole: bytes) -> None:
    assert sent_or_refused(whole[:at] + new + whole[at + len(new) :])


def sent_or_refused(raw: bytes) -> str:
    try:
        return decode_email(raw).model_dump_json()  # which half a character would keep from being done
    except BrokenEmailError as error:
        return str(error)
