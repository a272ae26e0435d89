from collections.abc import AsyncIterator

import anyio
import pytest

from cqrsbus import DeadlineExceededError
from cqrsbus.testing import TestBus

from .services import OrderPlaced, PlaceOrder, StockLeft, open_shelf, orders, stock

pytestmark = pytest.mark.anyio


@pytest.fixture
def shelf() -> dict[str, int]:
    return {"tea": 2}


@pytest.fixture
async def t(shelf: dict[str, int]) -> AsyncIterator[TestBus]:
    async with TestBus(orders, stock, overrides={open_shelf: lambda: shelf}) as t:
        yield t


async def test_an_order_takes_from_stock(t: TestBus, shelf: dict[str, int]) -> None:
    await orders.send(PlaceOrder(item="tea"))
    with anyio.fail_after(5):
        await t.idle()
    assert shelf["tea"] == 1
    assert t.handled(OrderPlaced).one().handler.name.endswith("take")


async def test_what_is_not_there_is_not_sold(t: TestBus) -> None:
    with pytest.raises(Exception, match="no coffee left") as caught:
        await orders.send(PlaceOrder(item="coffee"), wait=True)
    assert isinstance(caught.value.__cause__, ValueError)
    t.published(OrderPlaced).none()


async def test_two_orders_for_one_tea(t: TestBus, shelf: dict[str, int]) -> None:
    shelf["tea"] = 1
    t.faults.delay(OrderPlaced, 0.5)
    await orders.send(PlaceOrder(item="tea"))
    await orders.send(PlaceOrder(item="tea"))
    await t.idle()
    t.errors.expect(RuntimeError)


async def test_a_question_that_gets_lost(t: TestBus) -> None:
    t.faults.drop(StockLeft)
    with pytest.raises(DeadlineExceededError):
        await orders.ask(StockLeft(item="tea"), timeout=0.1)
    assert await orders.ask(StockLeft(item="tea")) == 2


async def test_the_stock_service_loses_its_connection(t: TestBus) -> None:
    await t.disconnect(stock)
    await stock.wait_connected()
    assert await orders.ask(StockLeft(item="tea")) == 2
