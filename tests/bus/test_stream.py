"""A stream as its caller sees it."""

import pytest

from cqrsbus.bus.stream import Stream
from cqrsbus.errors import InvalidMessageError, RemoteError
from cqrsbus.links.answer import Answer
from tests.bus.answers_by_hand import FakeReplies, read_int

pytestmark = pytest.mark.anyio


def stream(replies: FakeReplies) -> Stream[int]:
    async def start() -> FakeReplies:
        return replies

    return Stream("t", start, read_int)


async def test_it_ends_with_the_last_answer_and_stays_ended() -> None:
    replies = FakeReplies(1, 2)
    async with stream(replies) as numbers:
        assert [number async for number in numbers] == [1, 2]
        assert [number async for number in numbers] == []
        assert replies.left == 0
    assert replies.left == 1


async def test_an_error_comes_after_the_answers() -> None:
    async with stream(FakeReplies(1, end=RemoteError("KeyError", "x"))) as numbers:
        assert await anext(numbers) == 1
        with pytest.raises(RemoteError):
            await anext(numbers)


async def test_it_is_left_whatever_its_body_raises() -> None:
    replies = FakeReplies(1)
    with pytest.raises(LookupError):
        async with stream(replies):
            raise LookupError
    assert replies.left == 1


async def test_one_that_was_left_has_ended_and_can_be_entered_again() -> None:
    numbers = stream(FakeReplies(1, 2))
    async with numbers:
        assert await anext(numbers) == 1
        with pytest.raises(RuntimeError, match="open already"):
            await numbers.__aenter__()
    assert [number async for number in numbers] == []
    async with numbers:
        assert await anext(numbers) == 2


async def test_one_that_was_never_entered_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match=r"use 'async with bus\.stream"):
        await anext(stream(FakeReplies()))


async def test_an_answer_that_cannot_be_read_does_not_end_it() -> None:
    def read(answer: Answer) -> int:
        number = read_int(answer)
        if number == 1:
            raise InvalidMessageError("odd")
        return number

    async def start() -> FakeReplies:
        return FakeReplies(1, 2)

    async with Stream("t", start, read) as numbers:
        with pytest.raises(InvalidMessageError):
            await anext(numbers)
        assert await anext(numbers) == 2
