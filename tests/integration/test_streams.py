"""Streams of answers: in order, no faster than they are taken, over when either side is."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from cqrsbus import (
    Bus,
    BusError,
    ConnectionLostError,
    Context,
    DeadlineExceededError,
    InvalidMessageError,
    NoHandlerError,
    PayloadTooLargeError,
    Query,
    RemoteError,
    Stream,
    TopologyError,
)

pytestmark = pytest.mark.anyio


class CountTo(Query[int], topic="count.to"):
    number: int


class Counter:
    """A service that counts, and remembers how far it came and how it ended."""

    def __init__(self, url: str) -> None:
        self.bus = Bus("counter", url)
        self.begun = 0
        self.ended = anyio.Event()
        self.fails_at: int | None = None
        self.bus.query_handler()(self.count)

    async def count(self, query: CountTo) -> AsyncIterator[int]:
        try:
            for number in range(query.number):
                if number == self.fails_at:
                    raise KeyError(number)
                self.begun = number + 1
                yield number
        finally:
            self.ended.set()


@pytest.fixture
def counter(url: str) -> Counter:
    return Counter(url)


async def test_every_answer_comes_once_and_in_order(url: str, counter: Counter) -> None:
    with anyio.fail_after(10):
        async with counter.bus, Bus("asker", url) as bus, bus.stream(CountTo(number=500)) as numbers:
            assert [number async for number in numbers] == list(range(500))
            with pytest.raises(StopAsyncIteration):
                await anext(numbers)


async def test_many_streams_at_once_do_not_mix(url: str, counter: Counter) -> None:
    async def ask(bus: Bus, number: int) -> None:
        async with bus.stream(CountTo(number=number)) as numbers:
            assert [each async for each in numbers] == list(range(number))

    with anyio.fail_after(20):
        async with counter.bus, Bus("asker", url) as bus, anyio.create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(ask, bus, number * 7)


async def test_the_handler_gives_no_more_than_was_paid_for(url: str, counter: Counter) -> None:
    with anyio.fail_after(10):
        async with (
            counter.bus,
            Bus("asker", url) as bus,
            bus.stream(CountTo(number=1000), credit=4) as numbers,
        ):
            assert await anext(numbers) == 0
            await anyio.wait_all_tasks_blocked()
            # It has begun one that it cannot give away.
            assert counter.begun <= 1 + 4 + 1


async def test_bytes_are_paid_for_too(url: str) -> None:
    begun = 0
    service = Bus("service", url)

    @service.query_handler("q")
    async def answer(size: int) -> AsyncIterator[bytes]:
        nonlocal begun
        for _ in range(100):
            begun += 1
            yield bytes(size)

    with anyio.fail_after(10):
        async with service, Bus("asker", url) as bus:
            async with bus.stream("q", 1000, returns=bytes, credit_bytes=5000) as parts:
                assert await anext(parts) == bytes(1000)
                await anyio.wait_all_tasks_blocked()
                assert begun <= 8
                rest = [part async for part in parts]
            assert len(rest) == 99


async def test_leaving_stops_the_handler_and_its_finally_runs(url: str, counter: Counter) -> None:
    with anyio.fail_after(10):
        async with counter.bus, Bus("asker", url) as bus:
            async with bus.stream(CountTo(number=10**9)) as numbers:
                async for number in numbers:
                    if number == 100:
                        break
            await counter.ended.wait()
            # The bus is as good as new.
            async with bus.stream(CountTo(number=2)) as numbers:
                assert [number async for number in numbers] == [0, 1]


async def test_the_callers_cancel_scope_stops_the_handler(url: str, counter: Counter) -> None:
    with anyio.fail_after(10):
        async with counter.bus, Bus("asker", url) as bus:
            with anyio.CancelScope() as scope:
                async with bus.stream(CountTo(number=10**9)) as numbers:
                    async for number in numbers:
                        if number == 10:
                            scope.cancel()
            await counter.ended.wait()


async def test_an_error_comes_after_the_answers_before_it(url: str, counter: Counter) -> None:
    counter.fails_at = 70
    with anyio.fail_after(10):
        async with counter.bus, Bus("asker", url) as bus, bus.stream(CountTo(number=100), credit=3) as numbers:
            seen = [await anext(numbers) for _ in range(70)]
            with pytest.raises(RemoteError) as caught:
                await anext(numbers)
    assert seen == list(range(70))
    assert (caught.value.type, caught.value.message) == ("KeyError", "70")


async def test_a_plain_handler_is_a_stream_of_one(url: str) -> None:
    service = Bus("service", url)

    @service.query_handler("q")
    async def answer(number: int) -> int:
        return number + 1

    with anyio.fail_after(10):
        async with service, Bus("asker", url) as bus, bus.stream("q", 1, returns=int) as numbers:
            assert [number async for number in numbers] == [2]


async def test_a_single_answer_cannot_be_a_stream(url: str, counter: Counter) -> None:
    with anyio.fail_after(10):
        async with counter.bus, Bus("asker", url) as bus:
            with pytest.raises(TopologyError, match=r"bus\.stream"):
                await bus.ask(CountTo(number=1))
            async with bus.gather(CountTo(number=1)) as replies:
                assert [reply async for reply in replies] == []
            assert "bus.stream" in str(replies.failed[0].error)


async def test_nobody_to_ask_is_an_error(url: str) -> None:
    with anyio.fail_after(10):
        async with Bus("asker", url) as bus, bus.stream(CountTo(number=1)) as numbers:
            with pytest.raises(NoHandlerError):
                await anext(numbers)


async def test_what_cannot_be_read_is_said(url: str, counter: Counter) -> None:
    with anyio.fail_after(10):
        async with counter.bus, Bus("asker", url) as bus:
            async with bus.stream("count.to", {"number": "many"}, returns=int) as numbers:
                with pytest.raises(InvalidMessageError, match="number"):
                    await anext(numbers)
            async with bus.stream("count.to", {"number": 3}, returns=dict[str, int]) as wrong:
                with pytest.raises(InvalidMessageError, match="the answer"):
                    await anext(wrong)


async def test_an_answer_that_is_too_large_ends_the_stream(url: str) -> None:
    service = Bus("service", url)
    ended = anyio.Event()

    @service.query_handler("q")
    async def answer(size: int) -> AsyncIterator[bytes]:
        try:
            yield b"small"
            yield bytes(size)
        finally:
            ended.set()

    with anyio.fail_after(10):
        async with service, Bus("asker", url) as bus, bus.stream("q", 2**21, returns=bytes) as parts:
            assert await anext(parts) == b"small"
            with pytest.raises(PayloadTooLargeError):
                await anext(parts)
            await ended.wait()


class TestTime:
    async def test_a_stream_that_begins_in_time_may_last(self, url: str) -> None:
        service = Bus("service", url)
        go_on = anyio.Event()

        @service.query_handler("q")
        async def answer(_: None, ctx: Context) -> AsyncIterator[float | None]:
            yield ctx.remaining()
            await go_on.wait()
            yield None

        with anyio.fail_after(10):
            async with (
                service,
                Bus("asker", url) as bus,
                bus.stream("q", timeout=0.5, returns=float | None) as answers,
            ):
                assert isinstance(await anext(answers), float), "the time of this scope"
                await anyio.sleep(0.6)  # longer than it had to begin
                go_on.set()
                assert await anext(answers) is None

    async def test_a_stream_that_does_not_begin_is_given_up(self, url: str) -> None:
        service = Bus("service", url)
        ended = anyio.Event()

        @service.query_handler("q")
        async def answer(_: None) -> AsyncIterator[int]:
            try:
                await anyio.sleep_forever()
                yield 1
            finally:
                ended.set()

        with anyio.fail_after(10):
            async with service, Bus("asker", url) as bus:
                async with bus.stream("q", timeout=0.3, returns=int) as answers:
                    with pytest.raises(DeadlineExceededError) as caught:
                        await anext(answers)
                assert caught.value.stage == "handler"
                await ended.wait()

    async def test_a_stream_whose_handler_has_no_time_was_never_started(self, url: str) -> None:
        service = Bus("service", url)

        @service.query_handler("q", concurrency=1)
        async def answer(number: int) -> AsyncIterator[int]:
            yield number
            await anyio.sleep_forever()

        with anyio.fail_after(10):
            async with service, Bus("asker", url) as bus, bus.stream("q", 1, returns=int) as first:
                assert await anext(first) == 1
                async with bus.stream("q", 2, timeout=0.05, returns=int) as second:
                    with pytest.raises(DeadlineExceededError) as caught:
                        await anext(second)
        assert caught.value.stage in ("queue", "handler"), "it may wait in the handler's process"

    async def test_the_time_of_the_message_being_handled_limits_all_of_it(self, url: str) -> None:
        service = Bus("service", url)

        @service.query_handler("ticks")
        async def ticks(_: None) -> AsyncIterator[int]:
            yield 1
            await anyio.sleep_forever()

        @service.query_handler("sum")
        async def add(_: None) -> int:
            async with service.stream("ticks", returns=int) as numbers:
                return sum([number async for number in numbers])

        with anyio.fail_after(10):
            async with service, Bus("asker", url) as bus:
                with pytest.raises(DeadlineExceededError):
                    await bus.ask("sum", timeout=0.1, returns=int)


async def error_of(stream: Stream[int]) -> BusError:
    """What a stream ends with."""
    try:
        while True:
            await anext(stream)
    except BusError as error:
        return error


class TestLoss:
    async def test_a_handler_that_goes_away_ends_its_streams(self, url: str, counter: Counter) -> None:
        with anyio.fail_after(10):
            async with Bus("asker", url) as bus:
                async with counter.bus:
                    numbers = await bus.stream(CountTo(number=10**9), credit=1).__aenter__()
                    assert await anext(numbers) == 0
                    counter.bus._drain_timeout = 0.0
                assert isinstance(await error_of(numbers), ConnectionLostError)
                await numbers.__aexit__(None, None, None)

    async def test_a_bus_that_is_closed_ends_its_streams(self, url: str, counter: Counter) -> None:
        with anyio.fail_after(10):
            async with counter.bus:
                async with Bus("asker", url) as bus:
                    numbers = await bus.stream(CountTo(number=10**9), credit=1).__aenter__()
                assert isinstance(await error_of(numbers), ConnectionLostError)
                await counter.ended.wait()


def test_impossible_credit_is_refused() -> None:
    bus = Bus("asker")
    impossible: list[Any] = [0, 65536, 1.5, "64", True]
    for credit in impossible:
        with pytest.raises(ValueError, match="credit is a whole number from 1 to 65535, not "):
            bus.stream(CountTo(number=1), credit=credit)
    with pytest.raises(ValueError, match="credit_bytes is a whole number from 1 to 4294967295, not 0"):
        bus.stream(CountTo(number=1), credit_bytes=0)


@pytest.mark.parametrize("verb", ["stream", "gather"])
async def test_time_that_was_over_before_is_lost_on_the_way_to_the_broker(verb: str) -> None:
    with anyio.fail_after(10):
        async with Bus("asker", "memory:") as bus:
            with pytest.raises(DeadlineExceededError, match="its time was over before it was sent") as caught:
                async with getattr(bus, verb)(CountTo(number=1), timeout=-1):
                    pass
            assert caught.value.stage == "connect"


async def test_a_stream_is_entered_before_it_is_iterated() -> None:
    bus = Bus("asker", "memory:")
    with pytest.raises(RuntimeError, match="async with"):
        await anext(bus.stream(CountTo(number=1)))
    with pytest.raises(RuntimeError, match="needs a running bus"):
        await bus.stream(CountTo(number=1)).__aenter__()
