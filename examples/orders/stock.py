"""The service "stock": each of its instances is a warehouse.

- Some topics are a warehouse's own: it alone can set aside what it has.
- The others are for any instance: whichever is free reserves an order, in all
  warehouses, one child for each item. When one of them fails the others are
  cancelled; what was set aside until then waits for the Release.
- A warehouse that does not answer may be the one that has something set aside, so
  all have to.
"""

import os
from collections.abc import Sequence
from typing import Final

from cqrsbus import Bus, Context
from examples.orders.messages import (
    OnHand,
    PutBack,
    Release,
    Reserve,
    SetAside,
    Shelf,
)
from examples.orders.service import audit, serve
from examples.orders.warehouse import Warehouse

#: Every warehouse, and what it opens with.
WAREHOUSES: Final = {"north": {"tea": 5, "lamp": 1}, "south": {"tea": 2, "lamp": 3}}


def make_bus(warehouse: Warehouse, url: str | None = None) -> Bus:
    """Return the service "stock" at a warehouse.

    Args:
        warehouse: What it has.
        url: The broker; default: as for every Bus.
    """
    bus = Bus("stock", url)
    bus.handling_middleware(audit)

    @bus.query_handler()
    async def on_hand(query: OnHand) -> Shelf:
        return warehouse.shelf(query.items)

    @bus.command_handler(f"stock.{warehouse.name}.set-aside")
    async def set_aside(command: SetAside) -> None:
        warehouse.set_aside(command.order, command.item, command.quantity)

    @bus.command_handler(f"stock.{warehouse.name}.put-back")
    async def put_back(command: PutBack) -> None:
        warehouse.put_back(command.order)

    @bus.command_handler(concurrency=16, on_cancel="cancel")
    async def reserve(command: Reserve, ctx: Context) -> None:
        shelves = await look(bus, list(command.items))
        for item, quantity in command.items.items():
            fullest = max(shelves, key=lambda shelf: shelf.left[item])
            each = SetAside(order=command.order, item=item, quantity=quantity)
            ctx.start_soon(tell, bus, fullest, "set-aside", each)

    @bus.command_handler(concurrency=16)
    async def release(command: Release, ctx: Context) -> None:
        for shelf in await look(bus, []):
            each = PutBack(order=command.order)
            ctx.start_soon(tell, bus, shelf, "put-back", each)

    return bus


async def look(bus: Bus, items: list[str]) -> Sequence[Shelf]:
    """Return what every warehouse has left, in the order of their names.

    Raises:
        QuorumError: Not all of them have answered.
    """
    async with bus.gather(OnHand(items=items), quorum=len(WAREHOUSES)) as answers:
        shelves = [shelf async for shelf in answers]
    return sorted(shelves, key=lambda shelf: shelf.warehouse)


async def tell(bus: Bus, shelf: Shelf, what: str, each: SetAside | PutBack) -> None:
    """Have the warehouse of a shelf do something."""
    await bus.send(f"stock.{shelf.warehouse}.{what}", each, wait=True)


_name = os.environ.get("WAREHOUSE", "north")
bus = make_bus(Warehouse(_name, WAREHOUSES[_name]))

if __name__ == "__main__":
    serve(bus)
