import anyio

from cqrsbus import Bus, Context

orders = Bus("orders", "memory:shop")
stock = Bus("stock", "memory:shop")
counting, tidied = anyio.Event(), anyio.Event()


@orders.query_handler("order.price")
async def price(item: str) -> int:
    try:
        return await orders.ask("stock.count", item, returns=int, timeout=60)
    finally:
        print("orders: its caller has left")


@stock.query_handler("stock.count")
async def count(item: str, ctx: Context) -> int:
    left = ctx.remaining()
    print("stock: at most 5 s are left:", left is not None and left <= 5)
    counting.set()
    try:
        await anyio.sleep_forever()
    finally:
        tidied.set()
    return 0


async def main() -> None:
    async with orders, stock, Bus("web", "memory:shop") as web:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask_for_a_price, web)
                await counting.wait()
                scope.cancel()
        await tidied.wait()
        print("stock: cancelled, two services away")


async def ask_for_a_price(web: Bus) -> None:
    await web.ask("order.price", "tea", returns=int, timeout=5)


if __name__ == "__main__":
    anyio.run(main)
