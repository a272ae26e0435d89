"""The answers of every instance as their caller sees them."""

import pytest

from cqrsbus.bus.gathering import Gathering
from cqrsbus.errors import (
    ConnectionLostError,
    DeadlineExceededError,
    HandlerLostError,
    InvalidMessageError,
    QuorumError,
    RemoteError,
)
from cqrsbus.links.answer import Answer
from tests.bus.answers_by_hand import FakeReplies, read_int

pytestmark = pytest.mark.anyio

FAILED = RemoteError("KeyError", "x")
LATE = DeadlineExceededError("too late")


def gathering(replies: FakeReplies, quorum: int | None = None) -> Gathering[int]:
    async def start() -> FakeReplies:
        return replies

    return Gathering("t", start, read_int, quorum)


async def test_without_a_quorum_all_are_taken_and_everybody_is_listed() -> None:
    replies = FakeReplies(1, FAILED, 2, LATE, HandlerLostError("gone"), asked=6)
    async with gathering(replies) as answers:
        assert [answer async for answer in answers] == [1, 2]
    assert answers.answered == (replies.asked[0], replies.asked[2])
    assert [type(failure.error) for failure in answers.failed] == [RemoteError, HandlerLostError]
    assert [failure.instance for failure in answers.failed] == [replies.asked[1], replies.asked[4]]
    assert answers.missing == (replies.asked[3], replies.asked[5])
    assert answers.asked == replies.asked
    assert replies.left


async def test_with_a_quorum_the_losers_are_left_with_the_last_that_is_needed() -> None:
    replies = FakeReplies(1, 2, 3, asked=3)
    async with gathering(replies, 2) as answers:
        assert await anext(answers) == 1
        assert replies.left == 0
        assert await anext(answers) == 2
        assert replies.left == 1
        with pytest.raises(StopAsyncIteration):
            await anext(answers)
    assert answers.missing == (replies.asked[2],)


async def test_it_fails_as_soon_as_the_quorum_cannot_be_reached() -> None:
    replies = FakeReplies(1, FAILED, 3, asked=3)
    async with gathering(replies, 3) as answers:
        assert await anext(answers) == 1
        with pytest.raises(QuorumError, match=r"1 of 3 .* s-1 failed \(RemoteError: .*\), s-2 has not answered"):
            await anext(answers)
        assert replies.left == 1


async def test_it_fails_when_there_are_too_few_instances() -> None:
    async with gathering(FakeReplies(1, asked=1), 2) as answers:
        assert await anext(answers) == 1
        with pytest.raises(QuorumError, match=r"came from 1 instances$"):
            await anext(answers)


async def test_it_fails_at_the_end_if_too_few_came() -> None:
    async with gathering(FakeReplies(1, LATE, asked=2), 2) as answers:
        assert await anext(answers) == 1
        with pytest.raises(QuorumError, match="s-1 has not answered"):
            await anext(answers)


async def test_what_cannot_be_read_has_failed() -> None:
    def read(answer: Answer) -> int:
        raise InvalidMessageError("odd")

    async def start() -> FakeReplies:
        return FakeReplies(1, asked=1)

    async with Gathering("t", start, read, None) as answers:
        assert [answer async for answer in answers] == []
    assert isinstance(answers.failed[0].error, InvalidMessageError)


async def test_a_lost_connection_is_an_error() -> None:
    async with gathering(FakeReplies(end=ConnectionLostError("lost"), asked=1)) as answers:
        with pytest.raises(ConnectionLostError):
            await anext(answers)


async def test_nobody_is_known_before_it_is_entered() -> None:
    answers = gathering(FakeReplies(asked=1))
    assert answers.asked == answers.missing == ()
    with pytest.raises(RuntimeError, match=r"use 'async with bus\.gather"):
        await anext(answers)
