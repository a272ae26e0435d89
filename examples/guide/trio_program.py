import anyio

from cqrsbus import Bus

bus = Bus("greeter", "memory:")


@bus.query_handler("greet")
async def greet(name: str) -> str:
    return f"hello {name}"


async def main() -> None:
    async with bus:
        print(await bus.ask("greet", "Ann", returns=str))


if __name__ == "__main__":
    anyio.run(main, backend="trio")
