"""A client of the service in service.py: it sends two commands and asks one question."""

import anyio

from cqrsbus import Bus


async def main() -> None:
    async with Bus("client") as bus:
        await bus.send("note.add", "buy bread", wait=True)
        await bus.send("note.add", "buy tea", wait=True)
        answer = await bus.ask("note.list", "tea", returns=list[str])
    print(answer)


if __name__ == "__main__":
    anyio.run(main)
