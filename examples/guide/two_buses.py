import anyio

from cqrsbus import Bus, Query

service = Bus("clock", "memory:example")
client = Bus("reader", "memory:example")


class Zone(Query[str], topic="clock.zone"):
    pass


@service.query_handler()
async def zone(query: Zone) -> str:
    return "UTC"


async def main() -> None:
    async with service, client:
        print(await client.ask(Zone()))


if __name__ == "__main__":
    anyio.run(main)
