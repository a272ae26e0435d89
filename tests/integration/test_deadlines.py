"""Time that is given travels along, and where it was lost is told."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from cqrsbus import Bus, Context, DeadlineExceededError
from cqrsbus.links.broker_link import BrokerLink

pytestmark = pytest.mark.anyio


class Kitchen:
    """A service with one cook, who can be kept busy."""

    def __init__(self, url: str) -> None:
        self.bus = Bus("kitchen", url)
        self.cooked: list[str] = []
        self.left: list[float | None] = []
        self.busy = anyio.Event()
        self.free = anyio.Event()
        self.stopped = anyio.Event()
        self.bus.query_handler("cook", concurrency=1)(self.cook)
        self.bus.query_handler("order")(self.order)
        self.bus.query_handler("wait")(self.wait)

    async def cook(self, dish: str, ctx: Context) -> str:
        self.cooked.append(dish)
        self.left.append(ctx.remaining())
        if dish == "stew":
            self.busy.set()
            await self.free.wait()
        return dish

    async def order(self, dish: str) -> str:
        return await self.bus.ask("cook", dish, returns=str, timeout=1000)

    async def wait(self, _: None) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self.stopped.set()


@asynccontextmanager
async def kitchen(url: str) -> AsyncGenerator[tuple[Bus, Kitchen]]:
    with anyio.fail_after(20):
        made = Kitchen(url)
        async with made.bus, Bus("guest", url) as guest, anyio.create_task_group() as tasks:
            yield guest, made
            made.free.set()
            tasks.cancel_scope.cancel()


class TestWhereItIsLost:
    async def test_in_connecting(self, url: str) -> None:
        async with kitchen(url) as (_, made):
            bus = made.bus
            assert isinstance(bus._link, BrokerLink)
            line = bus._link._line
            channel = line.channel
            assert channel is not None
            line.disconnect()  # as while it reconnects
            with pytest.raises(DeadlineExceededError) as caught:
                await bus.ask("cook", "soup", timeout=0.01)
            assert caught.value.stage == "connect"
            line.connect(channel)

    @pytest.mark.parametrize(("waits_in", "stage"), [("the broker", "queue"), ("the handler's process", "handler")])
    async def test_waiting_for_its_turn_and_then_it_is_never_started(self, url: str, waits_in: str, stage: str) -> None:
        async with kitchen(url) as (guest, made), anyio.create_task_group() as tasks:
            tasks.start_soon(guest.ask, "cook", "stew")
            await made.busy.wait()
            if waits_in == "the broker":
                for _ in range(63):  # what the handler has in hand, and has not started
                    tasks.start_soon(guest.ask, "cook", "filler")
                await anyio.wait_all_tasks_blocked()
            with pytest.raises(DeadlineExceededError) as caught:
                await guest.ask("cook", "soup", timeout=0.3)
            assert caught.value.stage == stage
            made.free.set()
            await guest.ask("cook", "salad")
            assert "soup" not in made.cooked
            assert made.cooked[-1] == "salad"

    async def test_in_the_handler_who_is_told_to_stop(self, url: str) -> None:
        async with kitchen(url) as (guest, made):
            with pytest.raises(DeadlineExceededError) as caught:
                await guest.ask("wait", timeout=0.3)
            assert caught.value.stage == "handler"
            await made.stopped.wait()

    async def test_in_what_the_handler_asked_in_turn(self, url: str) -> None:
        async with kitchen(url) as (guest, made), anyio.create_task_group() as tasks:
            tasks.start_soon(guest.ask, "cook", "stew")
            await made.busy.wait()
            with pytest.raises(DeadlineExceededError) as caught:
                await guest.ask("order", "soup", timeout=0.3)
            assert caught.value.stage == "handler"
            assert "soup" not in made.cooked
            made.free.set()

    async def test_it_is_a_timeout_like_any_other(self, url: str) -> None:
        async with kitchen(url) as (guest, _):
            with pytest.raises(TimeoutError):
                await guest.ask("wait", timeout=0.01)


async def test_the_time_of_the_first_caller_holds_for_all(url: str) -> None:
    async with kitchen(url) as (guest, made):
        await guest.ask("order", "soup", timeout=30)
        await guest.ask("order", "soup", timeout=None)
        with anyio.fail_after(15):
            await guest.ask("order", "soup", timeout=None)
        long, none, short = made.left
        assert long is not None
        assert 15 < long < 30
        assert none is None or none < 20.5, "only that of the test itself"
        assert short is not None
        assert short <= 15


async def test_the_time_in_a_queue_is_taken_off(url: str) -> None:
    async with kitchen(url) as (guest, made), anyio.create_task_group() as tasks:
        tasks.start_soon(guest.ask, "cook", "stew")
        await made.busy.wait()
        tasks.start_soon(guest.ask, "cook", "soup")
        await anyio.wait_all_tasks_blocked()
        await anyio.sleep(0.3)
        made.free.set()
        await guest.ask("cook", "salad")
        stew, soup, salad = made.left
        assert stew is not None
        assert soup is not None
        assert salad is not None
        assert soup < min(stew, salad) - 0.25
