"""Requests with several answers: what is kept, paid for, and how each of them ends."""

import math

import anyio
import pytest

from cqrsbus.errors import BusError, Code, DeadlineExceededError, NoHandlerError, RemoteError
from cqrsbus.links.call import Verb
from cqrsbus.links.calls import OpenCalls
from cqrsbus.links.port import Instance, StreamTerms
from cqrsbus.links.replies import BrokerReplies
from cqrsbus.links.replies_call import RepliesCall
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import encode_header
from cqrsbus.wire.stamp import full_stamp_of, stamp_of
from tests.links.channels import FakeChannel

pytestmark = pytest.mark.anyio

TERMS = StreamTerms(timeout=1.0, lasts=None, items=4, size=1000)


def more(body: bytes) -> Frame:
    frame = Frame.of(Kind.REPLY, flags=Flag.MORE, body=body)
    frame.stamp = stamp_of("service")
    return frame


def credit(items: int, size: int) -> Frame:
    return Frame(Kind.CREDIT, flags=Flag.OF_STREAM, id=1, detail=items, ttl=size)


class Opened:
    """One open request."""

    def __init__(self, terms: StreamTerms | None = TERMS, *, lasts_until: float = math.inf) -> None:
        self.calls = OpenCalls()
        self.channel = FakeChannel()
        self.call = self.calls.begin(RepliesCall, Verb.ASK, "t", timeout=1.0, deadline=math.inf)
        self.call.lasts_until = lasts_until
        self.replies = BrokerReplies(self.call, self.channel, self.calls, terms)

    async def bodies(self) -> list[bytes]:
        found: list[bytes] = []
        while (reply := await self.replies.next()) is not None:
            found.append(reply.body)
        return found


async def test_answers_are_kept_in_order_until_they_are_taken() -> None:
    opened = Opened()
    for body in (b"1", b"2"):
        opened.call.answer(more(body))
    opened.call.answer(Frame(Kind.REPLY))
    assert opened.call.is_done
    assert await opened.bodies() == [b"1", b"2"]
    assert await opened.replies.next() is None


async def test_what_an_answer_tells() -> None:
    opened = Opened(None)
    answer = Frame.of(Kind.REPLY, flags=Flag.MORE, header=encode_header({"ct": "application/json"}), body=b"7")
    answer.stamp = full_stamp_of("s", "s-1")
    opened.call.answer(answer)
    failure = Frame.of(Kind.REPLY, flags=Flag.MORE | Flag.FAILED, detail=Code.REMOTE_ERROR)
    failure.stamp = full_stamp_of("s", "s-2")
    opened.call.answer(failure)
    assert await opened.replies.next() == ("application/json", b"7", Instance("s", "s-1"), None)
    failed = await opened.replies.next()
    assert failed is not None
    assert failed.instance == Instance("s", "s-2")
    assert isinstance(failed.error, RemoteError)


async def test_who_is_asked_is_told_first() -> None:
    opened = Opened(None)
    for name in ("s-1", "s-2"):
        opened.call.answer(Frame(Kind.CONFIRM, stamp=full_stamp_of("s", name)))
    assert opened.replies.asked == (Instance("s", "s-1"), Instance("s", "s-2"))


async def test_an_error_is_told_after_what_came_before_it_and_again() -> None:
    opened = Opened()
    opened.call.answer(more(b"1"))
    opened.call.answer(Frame(Kind.REPLY, flags=Flag.FAILED, detail=Code.REMOTE_ERROR))
    opened.call.lose("too late to matter")
    reply = await opened.replies.next()
    assert reply is not None
    for _ in range(2):
        with pytest.raises(RemoteError):
            await opened.replies.next()


async def test_several_may_wait_for_the_same_answer() -> None:
    opened, found = Opened(), list[bytes]()

    async def take() -> None:
        found.extend(await opened.bodies())

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(take)
            await anyio.wait_all_tasks_blocked()
            opened.call.answer(more(b"1"))
            await anyio.wait_all_tasks_blocked()
            opened.call.answer(Frame(Kind.REPLY))
    assert found == [b"1"]


async def test_a_stream_is_paid_for_again_when_half_of_it_was_taken() -> None:
    opened = Opened()
    assert opened.channel.frames == [credit(4, 1000)]
    for body in (b"1", b"2", b"3"):
        opened.call.answer(more(body))
        await opened.replies.next()
    assert opened.channel.frames[1:] == [credit(2, 2)]


async def test_large_answers_are_paid_for_sooner() -> None:
    opened = Opened()
    opened.call.answer(more(bytes(500)))
    await opened.replies.next()
    assert opened.channel.frames[1:] == [credit(1, 500)]


async def test_nothing_is_paid_once_it_is_over() -> None:
    opened = Opened()
    for body in (b"1", b"2"):
        opened.call.answer(more(body))
    opened.call.answer(Frame(Kind.REPLY))
    await opened.bodies()
    opened.replies.leave()
    assert opened.channel.frames == [credit(4, 1000)]


async def test_who_is_polled_is_not_paid() -> None:
    opened = Opened(None)
    for body in (b"1", b"2", b"3"):
        opened.call.answer(more(body))
        await opened.replies.next()
    assert opened.channel.frames == []


class TestLeaving:
    async def test_who_leaves_early_says_so_once(self) -> None:
        opened = Opened(None)
        for _ in range(2):
            opened.replies.leave()
        assert opened.channel.frames == [Frame(Kind.CANCEL, id=1)]
        assert len(opened.calls) == 0

    async def test_who_gave_up_waiting_says_so_when_it_leaves(self) -> None:
        opened = Opened(None)
        opened.call.expire(5.0)
        opened.replies.leave()
        assert opened.channel.frames == [Frame(Kind.CANCEL, id=1)]

    @pytest.mark.parametrize("end", ["reply", "refusal", "loss"])
    async def test_what_has_ended_is_left_quietly(self, end: str) -> None:
        opened = Opened(None)
        match end:
            case "reply":
                opened.call.answer(Frame(Kind.REPLY))
            case "refusal":
                opened.call.fail(NoHandlerError())
            case _:
                opened.call.lose("lost")
        opened.replies.leave()
        assert opened.channel.frames == []

    async def test_who_still_waits_is_told(self) -> None:
        opened = Opened(None)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:

                async def wait() -> None:
                    with pytest.raises(BusError, match="left"):
                        await opened.replies.next()

                tasks.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                opened.replies.leave()


class TestTime:
    @pytest.mark.parametrize(("started", "stage"), [(False, "queue"), (True, "handler")])
    async def test_it_must_begin_in_time(self, started: bool, stage: str) -> None:
        opened = Opened()
        if started:
            opened.call.answer(Frame(Kind.CONFIRM))
        assert opened.call.expire(1.0) is None
        with pytest.raises(DeadlineExceededError) as caught:
            await opened.replies.next()
        assert caught.value.stage == stage

    async def test_what_has_begun_may_last(self) -> None:
        opened = Opened()
        opened.call.answer(more(b"1"))
        assert opened.call.expire(1.0) is None
        assert not opened.call.is_done

    async def test_what_has_begun_must_end_when_all_must(self) -> None:
        opened = Opened(lasts_until=10.0)
        opened.call.answer(more(b"1"))
        assert opened.call.expire(1.0) == 10.0
        assert opened.call.expire(10.0) is None
        await opened.replies.next()
        with pytest.raises(DeadlineExceededError) as caught:
            await opened.replies.next()
        assert caught.value.stage == "reply"
