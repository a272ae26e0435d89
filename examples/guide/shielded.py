import anyio

from cqrsbus import Bus, Context, DeadlineExceededError

shop = Bus("shop", "memory:shop")
stock = Bus("stock", "memory:shop")
reserved = {"tea"}


@shop.query_handler("shop.buy")
async def buy(item: str, ctx: Context) -> None:
    try:
        await anyio.sleep(60)  # the bank takes its time
    except BaseException:
        with ctx.shielded(5):
            await shop.send("stock.release", item, wait=True)
        raise


@stock.command_handler("stock.release")
async def release(item: str) -> None:
    await anyio.sleep(0.1)
    reserved.discard(item)


async def main() -> None:
    async with shop, stock, Bus("web", "memory:shop") as web:
        try:
            await web.ask("shop.buy", "tea", timeout=0.2)
        except DeadlineExceededError as error:
            print("lost in:", error.stage)
    print("still reserved:", len(reserved))


if __name__ == "__main__":
    anyio.run(main)
