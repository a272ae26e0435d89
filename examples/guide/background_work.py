import anyio

from cqrsbus import Bus, Context, RemoteError

bus = Bus("shop", "memory:")


@bus.command_handler("order.place")
async def place(item: str, ctx: Context) -> None:
    paid = anyio.Event()
    ctx.start_soon(pack, item, paid)
    ctx.start_soon(charge, item, paid)
    print(f"{item}: the handler has returned")


async def pack(item: str, paid: anyio.Event) -> None:
    try:
        await paid.wait()
        print(f"{item}: packed")
    finally:
        print(f"{item}: the packing table is free")


async def charge(item: str, paid: anyio.Event) -> None:
    if item == "gold":
        raise PermissionError("the card was refused")
    print(f"{item}: charged")
    paid.set()


async def main() -> None:
    async with bus:
        await bus.send("order.place", "milk", wait=True)
        print("milk: done")
        try:
            await bus.send("order.place", "gold", wait=True)
        except RemoteError as error:
            print(f"gold: {error}")


if __name__ == "__main__":
    anyio.run(main)
