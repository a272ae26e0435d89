import anyio

from cqrsbus import Bus, Context, DeadlineExceededError

bus = Bus("kitchen", "memory:")


@bus.query_handler("dish.cook")
async def cook(dish: str) -> str:
    return await bus.ask("dish.bake", dish, returns=str, timeout=60)


@bus.query_handler("dish.bake")
async def bake(dish: str, ctx: Context) -> str:
    left = ctx.remaining()
    print("baking, at most 2 s are left:", left is not None and left <= 2)
    return f"baked {dish}"


@bus.query_handler("dish.freeze")
async def freeze(dish: str) -> str:
    await anyio.sleep_forever()
    return f"frozen {dish}"


async def main() -> None:
    async with bus:
        print(await bus.ask("dish.cook", "cake", returns=str, timeout=2))
        try:
            await bus.ask("dish.freeze", "cake", returns=str, timeout=0.1)
        except DeadlineExceededError as error:
            print("too late:", error.topic)


if __name__ == "__main__":
    anyio.run(main)
