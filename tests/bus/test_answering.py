"""How answers are given: one, or one by one."""

from collections.abc import AsyncIterator

import pytest

from cqrsbus.bus.answering import give_answer, give_each, refuse_single
from cqrsbus.bus.codec import JSON, MSGPACK
from cqrsbus.bus.registry import HandlerGroup
from cqrsbus.errors import Code, InvalidMessageError, PayloadTooLargeError
from tests.bus.deliveries import FakeDelivery, delivery

pytestmark = pytest.mark.anyio


class Numbers:
    """An iterator that remembers whether it was closed."""

    def __init__(self, *numbers: object) -> None:
        self._numbers = iter(numbers)
        self.closed = False

    def __aiter__(self) -> AsyncIterator[object]:
        return self

    async def __anext__(self) -> object:
        try:
            return next(self._numbers)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        self.closed = True


async def test_one_answer_settles_the_delivery() -> None:
    work = delivery()
    await give_answer(work, JSON, 7)
    assert work.settlement == ("reply", "application/json", b"7")


async def test_one_answer_for_who_wants_a_stream_is_the_first() -> None:
    work = delivery(wants_stream=True)
    await give_answer(work, JSON, 7)
    assert work.items == [("application/json", b"7")]
    assert work.settlement is None, "its end is told when all has ended"


async def test_each_answer_is_given_and_the_iterator_closed() -> None:
    work, numbers = delivery(wants_stream=True), Numbers(1, 2)
    await give_each(work, JSON, numbers)
    assert [body for _, body in work.items] == [b"1", b"2"]
    assert numbers.closed
    assert work.settlement is None


async def test_an_answer_that_cannot_be_carried_is_raised_and_the_iterator_closed() -> None:
    work, numbers = delivery(wants_stream=True), Numbers(1, object(), 3)
    with pytest.raises(InvalidMessageError):
        await give_each(work, MSGPACK, numbers)
    assert len(work.items) == 1
    assert numbers.closed


async def test_an_answer_that_is_too_large_is_told_and_the_iterator_closed() -> None:
    class Narrow(FakeDelivery):
        async def reply_more(self, content_type: str, body: bytes) -> None:
            raise PayloadTooLargeError("it has 9 bytes")

    work, numbers = Narrow(wants_stream=True), Numbers(1, 2)
    await give_each(work, MSGPACK, numbers)
    assert work.settlement == ("fail", Code.PAYLOAD_TOO_LARGE, {"reason": "it has 9 bytes"})
    assert numbers.closed


async def test_an_iterator_need_not_be_closable() -> None:
    class Endless:
        def __aiter__(self) -> AsyncIterator[int]:
            return self

        async def __anext__(self) -> int:
            raise LookupError

    with pytest.raises(LookupError):
        await give_each(delivery(wants_stream=True), MSGPACK, Endless())


async def test_who_asked_for_one_answer_is_told_what_to_call() -> None:
    group = HandlerGroup()

    @group.query_handler("q")
    async def count(number: int) -> AsyncIterator[int]:
        yield number

    work = delivery()
    refuse_single(work, group.handlers[0])
    assert work.settlement is not None
    _, code, fields = work.settlement
    assert code is Code.TOPOLOGY
    assert "bus.stream()" in fields["reason"]
    assert "count" in fields["reason"]
