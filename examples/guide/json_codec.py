import anyio

from cqrsbus import Bus

service = Bus("service", "memory:mixed", codec="json")
client = Bus("client", "memory:mixed", codec="msgpack")


@service.query_handler("text.length")
async def length(text: str) -> int:
    return len(text)


async def main() -> None:
    async with service, client:
        print(await client.ask("text.length", "hello", returns=int))


if __name__ == "__main__":
    anyio.run(main)
