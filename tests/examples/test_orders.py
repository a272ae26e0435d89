"""The order flow: every way through it, and that everything is accounted for whichever way it went."""

from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskStatus

from cqrsbus import DeadlineExceededError, InvalidMessageError, RemoteError, check_buses
from examples.orders import ledger, orders, payments, saga, stock
from examples.orders.messages import (
    CardDeclined,
    Charge,
    FollowOrder,
    OrderExists,
    OrderUndone,
    OutOfStock,
    PutBack,
    Refund,
    Release,
    Reserve,
    SetAside,
    Step,
)
from tests.examples.shop import Shop, act_at, open_shop

pytestmark = pytest.mark.anyio


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncGenerator[Shop]:
    async with open_shop(tmp_path) as shop:
        yield shop
        await shop.check_books()


async def test_a_good_order_is_reserved_and_paid(shop: Shop) -> None:
    await shop.place(items={"tea": 2, "lamp": 1})
    assert await shop.steps() == ["placed", "reserved", "confirmed"]
    assert (shop.aside("tea"), shop.aside("lamp")) == (2, 1)


async def test_each_item_comes_from_the_fullest_warehouse(shop: Shop) -> None:
    await shop.place(items={"tea": 2, "lamp": 1})
    north, south = shop.warehouses
    assert (north.aside("tea"), south.aside("lamp")) == (2, 1)
    assert len(shop.t.handled(SetAside).all()) == 2


@pytest.mark.parametrize("item", ["lamp", "piano"])
async def test_what_is_not_there_is_not_charged(shop: Shop, item: str) -> None:
    with pytest.raises(OutOfStock) as caught:
        await shop.place(items={"tea": 1, item: 4})
    assert (caught.value.item, caught.value.left) == (item, 3 if item == "lamp" else 0)
    assert await shop.steps() == ["placed", "undone"]
    shop.t.sent(Charge).none()


async def test_a_declined_card_gives_the_goods_back(shop: Shop) -> None:
    with pytest.raises(CardDeclined) as caught:
        await shop.place(card="expired")
    assert caught.value.reason == "the card has expired"
    assert await shop.steps() == ["placed", "reserved", "undone"]


async def test_the_same_order_twice(shop: Shop) -> None:
    await shop.place()
    with pytest.raises(OrderExists):
        await shop.place()
    assert await shop.steps() == ["placed", "reserved", "confirmed"]
    shop.placed.pop()


async def test_a_customer_who_gives_up_at_the_bank(shop: Shop) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shop.place, "o-1", None, "slow", None)
        await shop.bank.asked.wait()
        assert shop.aside("tea") == 2
        tasks.cancel_scope.cancel()
    assert await shop.steps() == ["placed", "reserved", "undone"]
    assert shop.t.handled(Charge).one().outcome == "cancelled"


async def test_time_that_runs_out_at_the_bank(shop: Shop) -> None:
    with pytest.raises(DeadlineExceededError) as caught:
        await shop.place(card="slow", timeout=0.3)
    assert caught.value.stage == "handler"
    assert await shop.steps() == ["placed", "reserved", "undone"]
    assert shop.t.handled(PutBack).all()


async def test_the_last_lamps_are_sold_once(shop: Shop) -> None:
    async def try_to_buy(order: str) -> None:
        try:
            await shop.place(order, {"lamp": 1})
        except OutOfStock:
            refused.append(order)

    refused: list[str] = []
    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(try_to_buy, f"o-{number}")
    # Who looked at the same shelf as another one may go away with nothing, though the other warehouse had some.
    assert 4 <= len(refused) < 8


async def test_orders_at_once_cannot_exceed_the_limit_of_a_customer(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def try_to_buy(order: str) -> None:
        try:
            await shop.place(order, {"lamp": 1, "tea": 1}, "slow")
        except CardDeclined as error:
            refused.append(error.reason)

    refused: list[str] = []
    monkeypatch.setattr(ledger, "LIMIT", 10_000)
    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(try_to_buy, f"o-{number}")
        await shop.bank.asked.wait()
        shop.bank.let_go.set()
    assert refused == ["over the limit"] * 2


async def test_undoing_is_tried_again_until_the_other_side_is_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def place() -> None:
        with pytest.raises(RemoteError, match="1 of 2 needed answers"):
            await shop.place()

    tried = anyio.Event()
    act_at(monkeypatch, saga.log, "warning", tried.set)
    async with anyio.create_task_group() as tasks, shop.t.partition(shop.stock[0]):
        tasks.start_soon(place)
        await tried.wait()
    assert await shop.steps() == ["placed", "undone"]


@pytest.mark.parametrize("lost", [Release, Refund])
async def test_what_gets_lost_on_the_way_is_said_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, lost: type[Release | Refund]
) -> None:
    monkeypatch.setattr(saga, "TRY_WITHIN", 0.2)
    fault = shop.t.faults.drop(lost)
    with pytest.raises(CardDeclined):
        await shop.place(card="expired")
    assert await shop.steps() == ["placed", "reserved", "undone"]
    assert fault.struck == 1
    # On a busy machine the second may be late too, and be said once more.
    assert len(shop.t.sent(lost).all()) >= 2


async def test_what_cannot_be_undone_is_stuck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saga, "UNDO_WITHIN", 0.2)
    async with open_shop(tmp_path) as shop:
        shop.t.faults.drop(Release, times=None)
        with pytest.raises(CardDeclined):
            await shop.place(card="expired")
        assert await shop.steps() == ["placed", "reserved", "stuck"]
        assert shop.aside("tea") == 2


async def test_what_comes_after_the_undoing_is_refused(shop: Shop) -> None:
    """As when a cancelled step was still on its way."""
    with pytest.raises(CardDeclined):
        await shop.place(card="expired")
    with pytest.raises(OrderUndone):
        await shop.customer.send(Reserve(order="o-1", items={"tea": 1}), wait=True)
    with pytest.raises(OrderUndone):
        await shop.customer.send(Charge(order="o-1", customer="ada", card="good", cents=1), wait=True)


async def test_doing_and_undoing_twice_changes_nothing(shop: Shop) -> None:
    await shop.place(items={"tea": 2})
    for _ in range(2):
        await shop.customer.send(Reserve(order="o-1", items={"tea": 2}), wait=True)
        await shop.customer.send(Charge(order="o-1", customer="ada", card="good", cents=900), wait=True)
    await shop.check_books()
    with pytest.raises(CardDeclined):
        await shop.place("o-2", card="expired")
    for _ in range(2):
        await shop.customer.send(Release(order="o-2"), wait=True)
        await shop.customer.send(Refund(order="o-2"), wait=True)


async def test_an_order_of_nothing_is_none(shop: Shop) -> None:
    with pytest.raises(InvalidMessageError):
        await shop.customer.send(
            "order.place", {"order": "o-1", "customer": "ada", "card": "good", "items": {}}, wait=True
        )


async def test_an_order_can_be_followed_before_it_is_placed(shop: Shop) -> None:
    steps: list[Step] = []

    async def follow(*, task_status: TaskStatus[None]) -> None:
        async with shop.customer.stream(FollowOrder(order="o-1")) as found:
            task_status.started()
            steps.extend([step async for step in found])

    async with anyio.create_task_group() as tasks:
        await tasks.start(follow)
        await shop.place()
    assert steps == ["placed", "reserved", "confirmed"]


async def test_the_audit_log_names_one_conversation(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "audit")
    with pytest.raises(CardDeclined):
        await shop.place(card="expired")
    lines = [record.getMessage() for record in caplog.records if record.name == "audit"]
    assert any(line.startswith("payment.charge from orders: CardDeclined, ") for line in lines)
    assert any(line.startswith("order.place from customer: CardDeclined, ") for line in lines)
    assert len({line.rpartition(" ")[2] for line in lines}) == 1


def test_the_services_fit_together() -> None:
    assert check_buses(orders.bus, stock.bus, payments.bus) == []


def test_without_payments_they_do_not() -> None:
    assert {finding.topic for finding in check_buses(orders.bus, stock.bus)} == {"payment.charge", "payment.refund"}
