"""The whole shop in one test: its four buses, a customer, and a bank that does as it is told."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest

from cqrsbus import Bus
from cqrsbus.testing import TestBus
from examples.orders import orders, payments, saga, stock
from examples.orders.book import Book
from examples.orders.ledger import ledger_file
from examples.orders.messages import CardDeclined, FollowOrder, Items, OrderUndone, Paid, PlaceOrder, Step
from examples.orders.warehouse import Warehouse

STOCK = {"north": {"tea": 5, "lamp": 1}, "south": {"tea": 2, "lamp": 3}}

#: What may become of an order; it may also never have arrived.
POSSIBLE: list[list[Step]] = [
    [],
    ["placed", "reserved", "confirmed"],
    ["placed", "reserved", "undone"],
    ["placed", "undone"],
]


class FakeBank:
    """It declines "expired", and thinks about "slow" until it is let go."""

    def __init__(self) -> None:
        self.asked = anyio.Event()
        self.let_go = anyio.Event()

    def hear(self) -> None:
        self.asked.set()

    async def authorize(self, card: str, cents: int) -> None:
        self.hear()
        if card == "slow":
            await self.let_go.wait()
        if card == "expired":
            raise CardDeclined("the card has expired")


@dataclass
class Shop:
    """What a test can do and look at."""

    t: TestBus
    customer: Bus
    book: Book
    bank: FakeBank
    warehouses: list[Warehouse]
    stock: list[Bus]
    placed: list[PlaceOrder] = field(default_factory=list)

    async def place(
        self, order: str = "o-1", items: Items | None = None, card: str = "good", timeout: float | None = 10
    ) -> None:
        command = PlaceOrder(order=order, customer="ada", card=card, items=items or {"tea": 2, "lamp": 1})
        self.placed.append(command)
        await self.customer.send(command, wait=True, timeout=timeout)

    async def steps(self, order: str = "o-1") -> list[Step]:
        async with self.customer.stream(FollowOrder(order=order)) as steps:
            return [step async for step in steps]

    async def wait_for(self, step: Step, order: str = "o-1") -> None:
        async with self.customer.stream(FollowOrder(order=order)) as steps:
            async for each in steps:
                if each == step:
                    return

    def left(self, item: str) -> int:
        return sum(warehouse.shelf([item]).left[item] for warehouse in self.warehouses)

    def aside(self, item: str) -> int:
        return sum(warehouse.aside(item) for warehouse in self.warehouses)

    async def check_books(self) -> None:
        """Everything is accounted for: what is confirmed is set aside and paid, and nothing else is."""
        await self.t.idle()
        for command in self.placed:
            assert self.book.steps(command.order) in POSSIBLE
        confirmed = [each for each in self.placed if "confirmed" in self.book.steps(each.order)]
        for command in self.placed:
            cents = saga.charge_for(command).cents if command in confirmed else 0
            assert await self.customer.ask(Paid(order=command.order)) == cents
        for item in ("tea", "lamp"):
            assert self.aside(item) == sum(command.items.get(item, 0) for command in confirmed)
            assert self.left(item) + self.aside(item) == sum(items[item] for items in STOCK.values())


def act_at(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, act: Callable[[], object], *, after: bool = False
) -> None:
    """Do something when a method is called for the first time, before or after what it does."""
    method: Callable[..., Any] = getattr(owner, name)
    acts = [act]

    def act_once() -> None:
        if acts:
            in_loop(acts.pop())

    @wraps(method)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not after:
            act_once()
        result = method(*args, **kwargs)
        if after:
            act_once()
        return result

    monkeypatch.setattr(owner, name, wrapped)


def in_loop(act: Callable[[], object]) -> None:
    """Do something in the event loop, also from a worker thread."""
    try:
        anyio.current_time()
    except anyio.NoEventLoopError:
        anyio.from_thread.run_sync(act)
    else:
        act()


@asynccontextmanager
async def open_shop(directory: Path) -> AsyncGenerator[Shop]:
    warehouses = [Warehouse(name, items) for name, items in STOCK.items()]
    book, bank, customer = Book(), FakeBank(), Bus("customer")

    async def the_book() -> Book:
        return book

    async def the_bank() -> FakeBank:
        return bank

    async def the_file() -> Path:
        return directory / "payments.db"

    stores = [stock.make_bus(warehouse) for warehouse in warehouses]
    buses = [*stores, payments.bus, orders.bus, customer]
    fakes = {orders.the_book: the_book, payments.the_bank: the_bank, ledger_file: the_file}
    with anyio.fail_after(30):
        async with TestBus(*buses, overrides=fakes) as t:
            yield Shop(t, customer, book, bank, warehouses, stores)
            await t.idle()
            # A step that was cancelled, and came after the undoing all the same, is refused; nobody waits for it.
            for failure in t.errors:
                if isinstance(failure.error, OrderUndone):
                    t.errors.expect(OrderUndone)
