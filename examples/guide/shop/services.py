from typing import Annotated

from cqrsbus import Bus, Command, Depends, Event, Query


class PlaceOrder(Command, topic="order.place"):
    item: str


class OrderPlaced(Event, topic="order.placed"):
    item: str


class StockLeft(Query[int], topic="stock.left"):
    item: str


async def open_shelf() -> dict[str, int]:
    raise NotImplementedError("think of a database")


Shelf = Annotated[dict[str, int], Depends(open_shelf)]

orders = Bus("orders")
stock = Bus("stock")


@orders.command_handler()
async def place(command: PlaceOrder) -> None:
    if await orders.ask(StockLeft(item=command.item)) == 0:
        raise ValueError(f"no {command.item} left")
    await orders.publish(OrderPlaced(item=command.item))


@stock.query_handler()
async def left(query: StockLeft, shelf: Shelf) -> int:
    return shelf.get(query.item, 0)


@stock.event_handler()
async def take(event: OrderPlaced, shelf: Shelf) -> None:
    if shelf[event.item] == 0:
        raise RuntimeError(f"{event.item} was sold twice")
    shelf[event.item] -= 1
