"""Declared errors: which class an error travels as, and what a caller is to raise."""

import logging
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrsbus.bus.codec import JSON, MSGPACK, Codec
from cqrsbus.bus.declared_errors import DeclaredErrors, handler_raises
from cqrsbus.errors import RemoteError
from cqrsbus.messages import Command, Query


class MailError(Exception):
    pass


class MailboxLocked(MailError):
    def __init__(self, folder: str) -> None:
        super().__init__(f"{folder} is locked")
        self.folder = folder


class LockedForGood(MailboxLocked):
    pass


class Silent(Exception):
    def __init__(self, folder: str) -> None:
        if folder != "a":
            self.folder = folder


class Lock:
    pass


class Opaque(Exception):
    def __init__(self, lock: Lock) -> None:
        self.lock = lock


@dataclass(frozen=True)
class Frozen(Exception):
    folder: str


class Open(Query[int], topic="mail.open", raises=(MailboxLocked,)):
    pass


class Close(Command, topic="mail.close", raises=(MailError,)):
    pass


def declared(*raises: type[Exception]) -> DeclaredErrors:
    return DeclaredErrors(raises, "f")


def remote(error: Exception, type: str, codec: Codec = MSGPACK) -> RemoteError:
    """What comes of an error that was raised, and declared, on the other side."""
    body = declared(error.__class__).encode(error, error.__class__, codec)
    return RemoteError(type, "it is locked", content_type=codec.content_type, body=body)


class TestTheHandlersSide:
    @pytest.mark.parametrize(
        ("error", "cls"),
        [
            (MailboxLocked("a"), MailboxLocked),
            (LockedForGood("a"), MailboxLocked),
            (MailError(), MailError),
            (ValueError(), None),
        ],
    )
    def test_an_instance_of_a_subclass_is_the_nearest_declared_class(self, error: Exception, cls: type | None) -> None:
        assert declared(MailError, MailboxLocked).declared_class(error) is cls
        assert declared().declared_class(error) is None

    @pytest.mark.parametrize("error", [Silent("a"), MailError(object())], ids=["no attribute", "no value"])
    def test_what_cannot_be_sent_is_nothing_and_logged(
        self, error: Exception, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert declared(type(error)).encode(error, type(error), MSGPACK) == b""
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert f"the caller gets a RemoteError, for {type(error).__name__} cannot be sent: " in record.getMessage()

    def test_what_can_never_be_sent_is_refused_when_it_is_declared(self) -> None:
        with pytest.raises(TypeError, match=r"^mail\.py:7 cannot declare that it raises Opaque: .*Lock"):
            handler_raises("mail.py:7", int, (Opaque,))

    def test_a_handler_raises_what_its_messages_do_and_more(self) -> None:
        assert handler_raises("f", int, ()) == ()
        assert handler_raises("f", dict[str, int], (KeyError,)) == (KeyError,)
        assert handler_raises("f", Open, [KeyError]) == (MailboxLocked, KeyError)
        assert handler_raises("f", Open | Close, (MailboxLocked,)) == (MailboxLocked, MailError)


class TestTheCallersSide:
    @pytest.mark.parametrize("codec", [MSGPACK, JSON], ids=lambda codec: codec.name)
    def test_a_declared_error_is_made_again_from_the_remote_one(self, codec: Codec) -> None:
        told = remote(MailboxLocked("inbox"), "MailboxLocked", codec)
        made = declared(MailboxLocked, MailError).rebuild(told)
        assert type(made) is MailboxLocked
        assert (made.folder, str(made)) == ("inbox", "inbox is locked")
        assert made.__cause__ is told
        assert made.__suppress_context__

    def test_also_one_that_takes_no_assignments(self) -> None:
        told = remote(Frozen("inbox"), "Frozen")
        made = declared(Frozen).rebuild(told)
        assert (made, made.__cause__) == (Frozen("inbox"), told)

    @pytest.mark.parametrize(
        "told",
        [
            RemoteError("ValueError", body=b"\x80"),
            RemoteError("Exception", body=b"\x80"),
            RemoteError("__class__", body=b"\x80"),
            RemoteError("MailboxLocked", content_type=MSGPACK.content_type),
        ],
        ids=["not declared", "a base", "an attribute", "not declared there"],
    )
    def test_any_other_is_a_remote_error(self, told: RemoteError, caplog: pytest.LogCaptureFixture) -> None:
        assert declared(MailboxLocked).rebuild(told) is told
        assert not caplog.records

    @pytest.mark.parametrize(
        ("content_type", "body"),
        [
            (MSGPACK.content_type, MSGPACK.encode({"folder": 7})),
            (MSGPACK.content_type, MSGPACK.encode({})),
            (MSGPACK.content_type, MSGPACK.encode(["inbox"])),
            (MSGPACK.content_type, b"\xc1"),
            (JSON.content_type, b"{"),
            ("application/x-pickle", b"cos\nsystem\n"),
        ],
    )
    def test_fields_that_do_not_fit_make_no_other_error(
        self, content_type: str, body: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        told = RemoteError("MailboxLocked", "locked", content_type=content_type, body=body)
        assert declared(MailboxLocked).rebuild(told) is told
        (record,) = caplog.records
        assert "cannot be made a MailboxLocked" in record.getMessage()

    @given(
        st.sampled_from(["MailboxLocked", "MailError", "Frozen", "Open"]),
        st.sampled_from([MSGPACK, JSON]),
        st.binary(max_size=64) | st.from_type(dict[str, float | str | None]).map(MSGPACK.encode),
    )
    def test_whatever_comes_an_error_is_to_be_raised(self, type: str, codec: Codec, body: bytes) -> None:
        told = RemoteError(type, "m", content_type=codec.content_type, body=body)
        made = declared(MailboxLocked, MailError, Frozen).rebuild(told)
        assert made is told or made.__class__.__name__ == type
