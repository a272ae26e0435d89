"""The order flow, cut short at every step of it: everything is accounted for, whatever had been done."""

from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cqrsbus import Bus, BusError
from examples.orders import orders, payments
from examples.orders.ledger import Ledger
from examples.orders.messages import Charge, OnHand, Reserve
from examples.orders.warehouse import Warehouse
from tests.examples.shop import FakeBank, Shop, act_at, open_shop

pytestmark = pytest.mark.anyio

MOMENTS = [
    (Warehouse, "shelf"),
    (Warehouse, "set_aside"),
    (Ledger, "check_limit"),
    (FakeBank, "hear"),
    (Ledger, "charge"),
]


def name_of(value: object) -> str:
    return str(getattr(value, "__name__", value))


every_moment = pytest.mark.parametrize(
    ("owner", "method", "after"),
    [(owner, method, after) for owner, method in MOMENTS for after in (False, True)],
    ids=name_of,
)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncGenerator[Shop]:
    async with open_shop(tmp_path) as shop:
        yield shop
        await shop.check_books()


@every_moment
async def test_the_customer_leaves(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, owner: object, method: str, after: bool
) -> None:
    with anyio.CancelScope() as scope:
        act_at(monkeypatch, owner, method, scope.cancel, after=after)
        await shop.place()
    assert scope.cancelled_caught
    await shop.check_books()


@every_moment
async def test_a_step_fails(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, owner: object, method: str, after: bool
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    act_at(monkeypatch, owner, method, fail, after=after)
    with pytest.raises(BusError):
        await shop.place()


@pytest.mark.parametrize("who", ["customer", "orders", "stock", "payments"])
@pytest.mark.parametrize(("owner", "method"), MOMENTS, ids=name_of)
async def test_a_connection_is_lost(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, owner: object, method: str, who: str
) -> None:
    bus: Bus = {"customer": shop.customer, "orders": orders.bus, "stock": shop.stock[0], "payments": payments.bus}[who]
    async with anyio.create_task_group() as tasks:
        act_at(monkeypatch, owner, method, lambda: tasks.start_soon(shop.t.disconnect, bus))
        # Whether the customer is told, and of what, depends on whose connection it is.
        with suppress(BusError):
            await shop.place()


@pytest.mark.parametrize("late", [Reserve, OnHand, "stock.*.set-aside", Charge])
async def test_time_runs_out(shop: Shop, late: str | type) -> None:
    shop.t.faults.delay(late, 0.2)
    with pytest.raises(BusError):
        await shop.place(timeout=0.1)


async def test_the_customer_leaves_after_any_number_of_turns(shop: Shop) -> None:
    for turns in range(0, 160, 2):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(shop.place, f"o-{turns}", {"tea": 1}, "slow")
            for _ in range(turns):
                await checkpoint()
            tasks.cancel_scope.cancel()
        await shop.t.idle()
    assert shop.t.handled(Reserve).all(), "the last ones were on their way"
