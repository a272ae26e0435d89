"""Asking every instance: all who answer, those who fail or never come, and those who are stopped."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest

from cqrsbus import Bus, ConnectionLostError, HandlerLostError, NoHandlerError, Query, QuorumError, RemoteError

pytestmark = pytest.mark.anyio


class Load(Query[int], topic="load"):
    """How much is there to do?"""


class Worker:
    """An instance that answers with its number, when and as it is told."""

    def __init__(self, url: str, number: int) -> None:
        self.bus = Bus("worker", url)
        self.number = number
        self.may_answer = anyio.Event()
        self.asked = anyio.Event()
        self.stopped = anyio.Event()
        self.error: Exception | None = None
        self.bus.query_handler()(self.load)

    async def load(self, query: Load) -> int:
        self.asked.set()
        try:
            await self.may_answer.wait()
        except anyio.get_cancelled_exc_class():
            self.stopped.set()
            raise
        if self.error is not None:
            raise self.error
        return self.number

    def answer(self, error: Exception | None = None) -> None:
        self.error = error
        self.may_answer.set()


@asynccontextmanager
async def working(url: str, count: int) -> AsyncGenerator[tuple[Bus, list[Worker]]]:
    """An asker and so many instances."""
    with anyio.fail_after(10):
        async with AsyncExitStack() as stack:
            workers = [Worker(url, number) for number in range(count)]
            for worker in workers:
                await stack.enter_async_context(worker.bus)
            yield await stack.enter_async_context(Bus("asker", url)), workers


async def test_every_instance_answers(url: str) -> None:
    async with working(url, 3) as (bus, workers):
        for worker in workers:
            worker.answer()
        async with bus.gather(Load()) as replies:
            assert sorted([reply async for reply in replies]) == [0, 1, 2]
        assert {name for _, name in replies.answered} == {worker.bus.instance for worker in workers}
        assert {service for service, _ in replies.asked} == {"worker"}
        assert not replies.failed
        assert not replies.missing


async def test_who_answered_what_is_told(url: str) -> None:
    async with working(url, 2) as (bus, workers):
        for worker in workers:
            worker.answer()
        async with bus.gather(Load()) as replies:
            found = {instance.name: number async for number, instance in replies.items()}
        assert found == {worker.bus.instance: worker.number for worker in workers}


async def test_with_a_quorum_the_first_are_enough_and_the_losers_are_stopped(url: str) -> None:
    async with working(url, 3) as (bus, workers):
        async with bus.gather(Load(), quorum=2, timeout=None) as replies:
            for worker in workers:
                await worker.asked.wait()
            workers[1].answer()
            assert await anext(replies) == 1
            workers[2].answer()
            assert await anext(replies) == 2
            # At once, not only when it is left.
            await workers[0].stopped.wait()
            with pytest.raises(StopAsyncIteration):
                await anext(replies)
        assert [name for _, name in replies.missing] == [workers[0].bus.instance]


async def test_those_who_fail_are_listed(url: str) -> None:
    async with working(url, 2) as (bus, workers):
        workers[0].answer(KeyError("x"))
        workers[1].answer()
        async with bus.gather(Load()) as replies:
            assert [reply async for reply in replies] == [1]
        (failure,) = replies.failed
        assert failure.instance.name == workers[0].bus.instance
        assert isinstance(failure.error, RemoteError)
        assert failure.error.type == "KeyError"


async def test_a_quorum_that_cannot_be_reached_any_more_is_an_error_at_once(url: str) -> None:
    async with working(url, 3) as (bus, workers):
        workers[0].answer(KeyError("x"))
        async with bus.gather(Load(), quorum=3, timeout=None) as replies:
            with pytest.raises(QuorumError) as caught:
                await anext(replies)
        assert "0 of 3 needed answers came from 3 instances" in str(caught.value)
        assert f"{workers[0].bus.instance} failed (RemoteError" in str(caught.value)
        for worker in workers[1:]:
            if worker.asked.is_set():
                await worker.stopped.wait()


async def test_a_quorum_larger_than_those_who_are_there_is_an_error(url: str) -> None:
    async with working(url, 1) as (bus, workers):
        workers[0].answer()
        async with bus.gather(Load(), quorum=2) as replies:
            assert await anext(replies) == 0
            with pytest.raises(QuorumError, match="1 of 2 needed answers came from 1 instances"):
                await anext(replies)


async def test_those_who_never_come_are_listed_when_the_time_is_up(url: str) -> None:
    async with working(url, 2) as (bus, workers):
        workers[0].answer()
        async with bus.gather(Load(), timeout=0.5) as replies:
            assert [reply async for reply in replies] == [0]
        assert [name for _, name in replies.missing] == [workers[1].bus.instance]
        assert replies.failed == ()
        await workers[1].stopped.wait()
        async with bus.gather(Load(), quorum=2, timeout=0.5) as late:
            assert await anext(late) == 0
            with pytest.raises(QuorumError, match="has not answered"):
                await anext(late)


async def test_leaving_stops_all(url: str) -> None:
    async with working(url, 2) as (bus, workers):
        async with bus.gather(Load()):
            for worker in workers:
                await worker.asked.wait()
        for worker in workers:
            await worker.stopped.wait()


async def test_an_instance_that_goes_away_is_listed(url: str) -> None:
    leaving = Worker(url, 9)
    leaving.bus._drain_timeout = 0.0
    async with working(url, 1) as (bus, workers):
        async with leaving.bus:
            replies = await bus.gather(Load(), timeout=None).__aenter__()
            for worker in (leaving, *workers):
                await worker.asked.wait()
        workers[0].answer()
        assert [reply async for reply in replies] == [0]
        await replies.__aexit__(None, None, None)
        (failure,) = replies.failed
        assert failure.instance.name == leaving.bus.instance
        assert isinstance(failure.error, HandlerLostError)


async def test_several_services_may_answer(url: str) -> None:
    other = Bus("other", url)

    @other.query_handler()
    async def load(query: Load) -> int:
        return 99

    async with working(url, 1) as (bus, workers), other:
        workers[0].answer()
        async with bus.gather(Load()) as replies:
            assert sorted([reply async for reply in replies]) == [0, 99]
        assert {service for service, _ in replies.answered} == {"worker", "other"}


async def test_nobody_to_ask_is_an_error(url: str) -> None:
    with anyio.fail_after(10):
        async with Bus("asker", url) as bus, bus.gather(Load()) as replies:
            with pytest.raises(NoHandlerError):
                await anext(replies)


async def test_a_bus_that_is_closed_ends_it(url: str) -> None:
    with anyio.fail_after(10):
        worker = Worker(url, 1)
        async with worker.bus:
            async with Bus("asker", url) as bus:
                replies = await bus.gather(Load(), timeout=None).__aenter__()
            with pytest.raises(ConnectionLostError):
                await anext(replies)


def test_a_quorum_is_at_least_one() -> None:
    impossible: list[Any] = [0, 1.5, "2", True]
    for quorum in impossible:
        with pytest.raises(ValueError, match="quorum is a whole number from 1, not "):
            Bus("asker").gather(Load(), quorum=quorum)


async def test_it_is_entered_once_before_it_is_iterated() -> None:
    async with Bus("asker", "memory:") as bus:
        replies = bus.gather(Load())
        with pytest.raises(RuntimeError, match="async with"):
            await anext(replies)
        async with replies:
            pass
        with pytest.raises(RuntimeError, match="again"):
            await replies.__aenter__()
