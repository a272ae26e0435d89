"""What is said of a failure: name and text of any error, fields of a declared one, tracebacks if asked for."""

from typing import Any

import anyio
import pytest

from cqrsbus.bus.codec import JSON, MSGPACK, Codec
from cqrsbus.bus.context import Context
from cqrsbus.bus.failing import MAX_TRACEBACK_TEXT, FailureReport
from cqrsbus.bus.registry import HandlerGroup
from cqrsbus.errors import Code, DeadlineExceededError, InvalidMessageError
from tests.bus.deliveries import delivery

pytestmark = pytest.mark.anyio


class MailboxLocked(Exception):
    def __init__(self, folder: str) -> None:
        super().__init__(f"{folder} is locked")
        self.folder = folder


class LockedForGood(MailboxLocked):
    pass


def reported(error: Exception, *, codec: Codec = MSGPACK, tracebacks: bool = False) -> tuple[Any, ...]:
    group = HandlerGroup()

    @group.command_handler("t", raises=(MailboxLocked,))
    async def handle(message: int) -> None: ...

    work = delivery(1)
    report = FailureReport(group.handlers[0], codec, tracebacks=tracebacks)
    report.raised(work, error, Context(message_id="m", topic="t"))
    assert work.settlement is not None
    return work.settlement


async def test_any_error_is_told_by_name_and_text() -> None:
    assert reported(KeyError("k")) == ("fail", Code.REMOTE_ERROR, {"type": "KeyError", "reason": "'k'"})


async def test_a_group_tells_what_is_in_it() -> None:
    group = ExceptionGroup("several", [KeyError("k"), ExceptionGroup("inner", [ValueError("v")])])
    reason = "several (2 sub-exceptions): KeyError: 'k'; ExceptionGroup: inner (1 sub-exception): ValueError: v"
    assert reported(group) == ("fail", Code.REMOTE_ERROR, {"type": "ExceptionGroup", "reason": reason})


async def test_of_a_large_group_the_first_are_told() -> None:
    reason = reported(ExceptionGroup("many", [ValueError(str(number)) for number in range(100)]))[2]["reason"]
    assert reason.startswith("many (100 sub-exceptions): ValueError: 0; ")
    assert reason.endswith("ValueError: 4")


@pytest.mark.parametrize("cls", [MailboxLocked, LockedForGood])
async def test_a_declared_error_is_told_with_its_fields(cls: type[MailboxLocked]) -> None:
    fields = {"type": "MailboxLocked", "reason": "inbox is locked"}
    body = {"folder": "inbox"}
    assert reported(cls("inbox")) == ("fail", Code.REMOTE_ERROR, fields, MSGPACK.encode(body))
    told = {**fields, "ct": "application/json"}
    assert reported(cls("inbox"), codec=JSON) == ("fail", Code.REMOTE_ERROR, told, JSON.encode(body))


async def test_one_that_cannot_be_sent_is_told_as_any_other() -> None:
    broken = MailboxLocked("inbox")
    del broken.folder
    fields = {"type": "MailboxLocked", "reason": "inbox is locked"}
    assert reported(broken, codec=JSON) == ("fail", Code.REMOTE_ERROR, fields)


def raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as caught:
        return caught


class Fickle(Exception):
    @property
    def __cause__(self) -> BaseException:  # type: ignore[override]
        raise LookupError


async def test_a_traceback_is_sent_if_asked_for() -> None:
    (*_, fields) = reported(raised(KeyError("k")), tracebacks=True)
    assert fields["traceback"].startswith("Traceback (most recent call last):\n")
    assert "raise error" in fields["traceback"]
    assert fields["traceback"].endswith("KeyError: 'k'\n")


async def test_of_a_long_traceback_the_end() -> None:
    (*_, fields) = reported(raised(ValueError("x" * 5000 + "\udcff!")), tracebacks=True)
    assert len(fields["traceback"]) <= MAX_TRACEBACK_TEXT + 5
    assert fields["traceback"].endswith("x\\udcff!\n")


async def test_a_traceback_that_cannot_be_made() -> None:
    (*_, fields) = reported(Fickle(), tracebacks=True)
    assert fields["traceback"] == "its traceback could not be made"


async def test_a_call_inside_that_had_no_more_time_is_told_by_its_topic() -> None:
    group, work = HandlerGroup(), delivery(1)

    @group.query_handler("t")
    async def handle(message: int) -> None: ...

    error = DeadlineExceededError("no handler was free", topic="u")
    over = Context(message_id="m", topic="t", deadline=anyio.current_time())
    FailureReport(group.handlers[0], MSGPACK).raised(work, error, over)
    reason = "so was a call that its handler made, to 'u': no handler was free"
    assert work.settlement == ("fail", Code.DEADLINE_EXCEEDED, {"reason": reason, "stage": "handler"})


async def test_what_cannot_be_read_is_told_with_the_findings() -> None:
    work = delivery(1)
    entries = [{"loc": ["a"], "msg": "m", "type": "t"}]
    FailureReport.unreadable(work, InvalidMessageError("r" * 2000, entries=entries))
    assert work.settlement == ("fail", Code.INVALID_MESSAGE, {"reason": "r" * 1000, "entries": entries})
