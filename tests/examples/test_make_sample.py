"""The sample is what its source says, and has one of each oddity."""

from examples.email.data.make_sample import HERE, SAMPLE, load, mbox


def test_the_committed_mailbox_is_the_one_that_is_made() -> None:
    assert mbox(load(HERE / "mails.toml")) == SAMPLE.read_bytes()


def test_it_has_every_oddity() -> None:
    mails = load(HERE / "mails.toml")

    assert 40 <= len(mails) <= 60
    assert {mail.encoding for mail in mails} == {"7bit", "8bit", "base64", "quoted-printable"}
    assert {mail.damage for mail in mails} == {"none", "base64", "charset", "no date", "bytes"}
    assert {"utf-8", "gb2312", "gbk", "gb18030", "iso-8859-1"} <= {mail.charset for mail in mails}
    assert any(mail.text and mail.html for mail in mails)
    assert any(mail.html and not mail.text for mail in mails)
    assert {file.name_as for mail in mails for file in mail.files} == {"parameter", "encoded word"}
    assert len({mail.id for mail in mails}) == len(mails) - 1, "one comes twice"
    sample = SAMPLE.read_bytes()
    assert b"\n>From the harbour" in sample
    assert b"\n>>From a reply" in sample
    assert b",\n Ben Okafor" in sample or b"the\n decisions" in sample, "a folded header"
