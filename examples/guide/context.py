import anyio

from cqrsbus import Bus, Context

bus = Bus("shop", "memory:")


@bus.command_handler("order.place")
async def place(item: str, ctx: Context) -> None:
    print(f"{ctx.topic} {ctx.message_id} from {ctx.sender}, {dict(ctx.headers)}")
    await bus.publish("order.placed", item)


async def main() -> None:
    async with bus, bus.subscribe("order.placed", str) as placed:
        headers = {"user": "ann"}
        await bus.send("order.place", "milk", headers=headers, message_id="o-1")
        async for item, ctx in placed.items():
            print(f"{item}: caused by {ctx.causation_id} of {ctx.correlation_id}")
            break


if __name__ == "__main__":
    anyio.run(main)
