"""The errors a caller expects, from one answer and from several."""

import pytest

from cqrsbus.bus.codec import MSGPACK
from cqrsbus.bus.expected_errors import NO_ERRORS, error_of_call, errors_of_call
from cqrsbus.bus.expecting_replies import ExpectingReplies
from cqrsbus.errors import ConnectionLostError, RemoteError
from cqrsbus.links.outgoing import Outgoing
from cqrsbus.links.port import Instance, Reply
from cqrsbus.messages import Command, Query
from cqrsbus.wire.envelope import Envelope

OUTGOING = Outgoing("a", Envelope("m-1"), b"")
MAILER = Instance("mailer", "m-1")


class MailboxLocked(Exception):
    def __init__(self, folder: str) -> None:
        super().__init__(f"{folder} is locked")
        self.folder = folder


class Lock:
    pass


class Opaque(Exception):
    def __init__(self, lock: Lock) -> None:
        self.lock = lock


class Open(Query[int], topic="mail.open", raises=(MailboxLocked,)):
    pass


class Jam(Command, topic="mail.jam", raises=(Opaque,)):
    pass


def remote() -> RemoteError:
    body = MSGPACK.encode({"folder": "inbox"})
    return RemoteError("MailboxLocked", "locked", content_type=MSGPACK.content_type, body=body)


EXPECTED = errors_of_call("ask", Open(), ())


def test_it_expects_what_its_message_declares_and_more() -> None:
    for message, raises, expected in [
        (Open(), (KeyError,), {MailboxLocked, KeyError}),
        (Open(), (), {MailboxLocked}),
        ({}, [KeyError], {KeyError}),
    ]:
        told = errors_of_call("ask", message, raises)
        assert {cls for cls in (MailboxLocked, KeyError) if told.declared_class(cls("x"))} == expected


def test_one_without_any_costs_nothing() -> None:
    assert errors_of_call("ask", {}, ()) is NO_ERRORS
    assert errors_of_call("ask", Open(), ()) is errors_of_call("ask", Open(), ())


def test_what_cannot_be_declared_is_told_at_once() -> None:
    with pytest.raises(TypeError, match=r"^raises= of bus\.ask\(\) has .*which is no class"):
        errors_of_call("ask", Open(), (7,))
    with pytest.raises(TypeError, match=r"^bus\.send\(\) cannot declare that it raises Opaque"):
        errors_of_call("send", Jam(), ())


@pytest.mark.parametrize(
    ("envelope", "correlation"), [(Envelope("m-1"), "m-1"), (Envelope("m-2", "m-1", "m-1"), "m-1")]
)
def test_the_error_has_the_conversation_of_the_message(envelope: Envelope, correlation: str) -> None:
    told = remote()
    made = error_of_call(told, Outgoing("a", envelope, b""), EXPECTED)
    assert isinstance(made, MailboxLocked)
    assert made.__cause__ is told
    assert told.correlation_id == correlation


class FakeReplies:
    """See :class:`cqrsbus.links.port.Replies`."""

    def __init__(self, *replies: Reply | Exception | None) -> None:
        self._replies = list(replies)
        self.asked = [MAILER]
        self.left = False

    async def next(self) -> Reply | None:
        reply = self._replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def leave(self) -> None:
        self.left = True


@pytest.mark.anyio
class TestSeveralAnswers:
    async def test_answers_come_as_they_are(self) -> None:
        replies = FakeReplies(Reply("ct", b"1", MAILER), None)
        expecting = ExpectingReplies(replies, OUTGOING, EXPECTED)
        assert expecting.asked == (MAILER,)
        assert await expecting.next() == Reply("ct", b"1", MAILER)
        assert await expecting.next() is None
        expecting.leave()
        assert replies.left

    async def test_a_declared_error_at_the_end_is_made_again(self) -> None:
        told = remote()
        with pytest.raises(MailboxLocked, match="inbox") as caught:
            await ExpectingReplies(FakeReplies(told), OUTGOING, EXPECTED).next()
        assert caught.value.__cause__ is told
        assert told.correlation_id == "m-1"

    async def test_a_remote_error_is_raised_without_a_cause(self) -> None:
        told = remote()
        with pytest.raises(RemoteError) as caught:
            await ExpectingReplies(FakeReplies(told), OUTGOING, NO_ERRORS).next()
        assert caught.value is told
        assert told.__cause__ is told.__context__ is None
        assert told.correlation_id == "m-1"

    async def test_the_error_of_one_of_many_is_made_again(self) -> None:
        told, lost = remote(), ConnectionLostError()
        replies = FakeReplies(Reply("", b"", MAILER, told), Reply("", b"", MAILER, lost))
        expecting = ExpectingReplies(replies, OUTGOING, EXPECTED)
        first, second = await expecting.next(), await expecting.next()
        assert first is not None
        assert isinstance(first.error, MailboxLocked)
        assert (first.error.__cause__, first.instance) == (told, MAILER)
        assert second == Reply("", b"", MAILER, lost)
