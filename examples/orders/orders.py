"""The service "orders": takes orders, and tells how far they are."""

from collections.abc import AsyncGenerator
from typing import Annotated, Final, TypeAlias

from cqrsbus import Bus, Context, Depends
from examples.orders import saga
from examples.orders.book import Book
from examples.orders.messages import Charge, FollowOrder, PlaceOrder, Refund, Release, Reserve, Step
from examples.orders.service import audit, serve

_BOOK: Final = Book()


async def the_book() -> Book:
    """The order book of this process."""
    return _BOOK


TheBook: TypeAlias = Annotated[Book, Depends(the_book)]

# Services may start in any order: this one waits for those that it needs.
bus = Bus("orders", requires=[Reserve, Release, Charge, Refund], check="wait")
bus.handling_middleware(audit)


@bus.command_handler(concurrency=64, on_cancel="cancel")
async def place(command: PlaceOrder, ctx: Context, book: TheBook) -> None:
    await saga.place(bus, book, command, ctx)


@bus.query_handler()
async def follow(query: FollowOrder, book: TheBook) -> AsyncGenerator[Step]:
    async for step in book.follow(query.order):
        yield step


if __name__ == "__main__":
    serve(bus)
