import anyio

from cqrsbus import Bus

bus = Bus("radio", "memory:")


async def main() -> None:
    async with bus:
        async with bus.subscribe("news.*", str) as news:
            await bus.publish("news.sport", "we won")
            await bus.publish("weather.today", "rain")
            await bus.publish("news.world", "peace")
            print(await anext(news))
            print(await anext(news))
        await bus.publish("news.late", "nobody hears this")


if __name__ == "__main__":
    anyio.run(main)
