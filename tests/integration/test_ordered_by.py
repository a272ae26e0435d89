"""``ordered_by=``: of each key one at a time and in order, the keys side by side, and nothing that holds them up."""

from collections import defaultdict
from typing import Any

import anyio
import pytest
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from anyio.lowlevel import checkpoint
from pydantic import BaseModel, field_validator

from cqrsbus import Bus, Context, InvalidMessageError, RemoteError

pytestmark = pytest.mark.anyio


class Payment(BaseModel):
    customer: str
    number: int


read: list[int] = []


class Noted(BaseModel):
    customer: str
    number: int

    @field_validator("number")
    @classmethod
    def note(cls, number: int) -> int:
        read.append(number)
        return number


async def test_each_key_is_handled_in_order_and_one_at_a_time_and_the_keys_side_by_side(url: str) -> None:
    bus, customers = Bus("bank", url), "abcde"
    handled, at_once, most = defaultdict[str, list[int]](list), defaultdict[str, int](int), 0

    @bus.event_handler("paid", concurrency=4, ordered_by="customer")
    async def handle(payment: Payment) -> None:
        nonlocal most
        at_once[payment.customer] += 1
        assert at_once[payment.customer] == 1
        most = max(most, sum(at_once.values()))
        for _ in range(payment.number % 3):
            await checkpoint()
        handled[payment.customer].append(payment.number)
        at_once[payment.customer] -= 1
        if sum(map(len, handled.values())) == 300:
            all_handled.set()

    with anyio.fail_after(20):
        all_handled = anyio.Event()
        async with bus:
            for number in range(300):
                await bus.publish("paid", Payment(customer=customers[number % 5], number=number))
            await all_handled.wait()
    assert dict(handled) == {customer: list(range(index, 300, 5)) for index, customer in enumerate(customers)}
    assert most == 4


async def test_a_stuck_key_holds_up_no_other(url: str) -> None:
    bus, handled = Bus("bank", url), list[str]()
    release, stuck = anyio.Event(), anyio.Event()

    @bus.command_handler("pay", concurrency=2, ordered_by=lambda payment: payment.customer)
    async def handle(payment: Payment) -> None:
        if payment.customer == "stuck":
            stuck.set()
            await release.wait()
        handled.append(f"{payment.customer}{payment.number}")

    with anyio.fail_after(20):
        async with bus:
            for number in range(3):
                await bus.send("pay", Payment(customer="stuck", number=number))
            await stuck.wait()
            for number in range(20):
                await bus.send("pay", Payment(customer="free", number=number), wait=True)
            assert handled == [f"free{number}" for number in range(20)]
            release.set()
            await bus.send("pay", Payment(customer="stuck", number=3), wait=True)
    assert handled[20:] == [f"stuck{number}" for number in range(4)]


async def test_what_cannot_be_read_or_has_no_key_fails_and_stops_nothing(url: str) -> None:
    bus = Bus("bank", url)

    def key(payment: Payment) -> Any:
        if payment.number == 1:
            raise LookupError("no such account")
        return [payment.customer] if payment.number == 2 else payment.customer

    @bus.command_handler("pay", concurrency=2, ordered_by=key)
    async def handle(payment: Payment, ctx: Context) -> None:
        handled.append(payment.number)

    handled: list[int] = []
    with anyio.fail_after(20):
        async with bus:
            with pytest.raises(InvalidMessageError, match="number"):
                await bus.send("pay", {"customer": "ann"}, wait=True)
            with pytest.raises(RemoteError, match="LookupError: no such account"):
                await bus.send("pay", Payment(customer="ann", number=1), wait=True)
            with pytest.raises(RemoteError, match=r"TypeError: ordered_by of .* gave list, which cannot be hashed"):
                await bus.send("pay", Payment(customer="ann", number=2), wait=True)
            await bus.send("pay", Payment(customer="ann", number=3), wait=True)
    assert handled == [3]


async def test_each_message_is_read_once(url: str) -> None:
    bus = Bus("bank", url)
    read.clear()

    @bus.command_handler("pay", concurrency=2, ordered_by="customer")
    async def handle(payment: Noted) -> None: ...

    with anyio.fail_after(20):
        async with bus:
            for number in range(5):
                await bus.send("pay", {"customer": "ann", "number": number}, wait=True)
    assert read == [0, 1, 2, 3, 4]


async def test_without_concurrency_all_are_in_order_anyhow(url: str) -> None:
    bus, handled = Bus("bank", url), list[int]()

    @bus.command_handler("pay", ordered_by="customer")
    async def handle(payment: Payment) -> None:
        await checkpoint()
        handled.append(payment.number)

    with anyio.fail_after(20):
        async with bus:
            for number in range(10):
                await bus.send("pay", Payment(customer=str(number % 2), number=number))
            await bus.send("pay", Payment(customer="last", number=10), wait=True)
    assert handled == list(range(11))


async def test_handlers_that_share_events_share_their_order(url: str) -> None:
    bus, handled = Bus("bank", url), list[tuple[str, int]]()
    done = anyio.Event()

    @bus.event_handler("paid", group="g", concurrency=4, ordered_by="customer")
    async def first(payment: Payment) -> None:
        for _ in range(3 - payment.number):
            await checkpoint()
        handled.append(("first", payment.number))

    @bus.event_handler("paid", group="g", ordered_by="customer")
    async def second(payment: dict[str, object]) -> None:
        handled.append(("second", int(str(payment["number"]))))
        if payment["number"] == 3:
            done.set()

    with anyio.fail_after(20):
        async with bus:
            for number in range(4):
                await bus.publish("paid", Payment(customer="ann", number=number))
            await done.wait()
    assert handled == [(name, number) for number in range(4) for name in ("first", "second")]


async def test_an_instance_that_leaves_hands_back_in_order(url: str) -> None:
    """What it had not started goes to another instance, each key still in its order."""
    leaving, staying = Bus("bank", url, drain_timeout=0.1), Bus("bank", url)
    handled: list[str] = []
    both_busy, all_handled = anyio.Event(), anyio.Event()
    stuck: list[str] = []

    @leaving.command_handler("pay", concurrency=2, ordered_by="customer")
    async def stick(payment: Payment) -> None:
        stuck.append(payment.customer)
        if len(stuck) == 2:
            both_busy.set()
        await anyio.sleep_forever()

    @staying.command_handler("pay", concurrency=4, ordered_by="customer")
    async def handle(payment: Payment) -> None:
        handled.append(f"{payment.customer}{payment.number}")
        if len(handled) == 10:
            all_handled.set()

    with anyio.fail_after(20):
        leave = anyio.Event()
        async with Bus("till", url) as till, anyio.create_task_group() as tasks:
            await tasks.start(_serve_until, leaving, leave)
            for number in range(6):
                for customer in "ab":
                    await till.send("pay", Payment(customer=customer, number=number))
            await both_busy.wait()
            await tasks.start(_serve_until, staying, all_handled)
            leave.set()
    assert [each for each in handled if each[0] == "a"] == [f"a{number}" for number in range(1, 6)]
    assert [each for each in handled if each[0] == "b"] == [f"b{number}" for number in range(1, 6)]


async def _serve_until(bus: Bus, done: anyio.Event, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
    async with bus:
        task_status.started()
        await done.wait()
