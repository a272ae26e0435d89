import anyio

from cqrsbus import Bus, Query


class Price(Query[int], topic="shop.price"):
    item: str


class Stock(Query[int], topic="store.stock"):
    item: str


shop = Bus("shop", "memory:wait", requires=[Stock], check="wait")
store = Bus("store", "memory:wait", requires=[Price], check="wait")


@shop.query_handler()
async def price(query: Price) -> int:
    return 5


@store.query_handler()
async def stock(query: Stock) -> int:
    return 7


async def main() -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve_store)
        async with shop:
            print("in stock:", await shop.ask(Stock(item="book")))
        tasks.cancel_scope.cancel()


async def serve_store() -> None:
    await anyio.sleep(0.1)  # it comes a little later
    await store.run()


if __name__ == "__main__":
    anyio.run(main)
