"""Which exceptions may be declared, and what is said of those that may not."""

import pytest

from cqrsbus.raises import declared_raises


class MailboxLocked(Exception):
    pass


class MailboxGone(Exception):
    pass


Namesake = type("MailboxLocked", (Exception,), {"__module__": "elsewhere"})


def test_all_that_were_declared_each_once_in_order() -> None:
    assert declared_raises("f", (MailboxLocked,), [MailboxGone, MailboxLocked], ()) == (MailboxLocked, MailboxGone)
    assert declared_raises("f") == ()


def test_no_two_of_one_name() -> None:
    with pytest.raises(TypeError, match=r"^f raises .*test_raises\.MailboxLocked and elsewhere\.MailboxLocked, which "):
        declared_raises("f", (MailboxLocked,), (Namesake,))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (MailboxLocked, r"write raises=\(MailboxLocked,\)"),
        (None, "not None"),
        ("MailboxLocked", "not 'MailboxLocked'"),
        (("MailboxLocked",), "has 'MailboxLocked' in it, which is no class of exceptions"),
        ((MailboxLocked(),), "has MailboxLocked.* in it, which is no class of exceptions"),
        ((int,), "has <class 'int'> in it"),
        ((KeyboardInterrupt,), "builtins.KeyboardInterrupt in it, which is no Exception"),
        ((BaseException,), "is no Exception"),
        ((BaseExceptionGroup,), "is no Exception"),
        ((StopIteration,), "RuntimeError when a coroutine"),
        ((StopAsyncIteration,), "RuntimeError when a generator"),
        ((ExceptionGroup,), "declare those"),
        ((list[int],), "no class of exceptions"),
    ],
    ids=repr,
)
def test_what_cannot_be_declared(given: object, said: str) -> None:
    with pytest.raises(TypeError, match=rf"^raises= of mail\.open .*{said}"):
        declared_raises("mail.open", given)
