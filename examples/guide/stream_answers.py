from collections.abc import AsyncIterator

import anyio

from cqrsbus import Bus, Query, RemoteError


class Lines(Query[str], topic="log.lines"):
    file: str


bus = Bus("logs", "memory:")
stopped = anyio.Event()


@bus.query_handler()
async def lines(query: Lines) -> AsyncIterator[str]:
    try:
        for number in range(1000):
            if query.file == "torn.log" and number == 2:
                raise OSError("the disk is torn")
            yield f"{query.file}:{number}"
    finally:
        stopped.set()


async def main() -> None:
    async with bus:
        async with bus.stream(Lines(file="web.log")) as found:
            async for line in found:
                print(line)
                if line.endswith(":2"):
                    break
        await stopped.wait()
        print("the handler was stopped")

        try:
            async with bus.stream(Lines(file="torn.log")) as found:
                async for line in found:
                    print(line)
        except RemoteError as error:
            print("then:", error.message)


if __name__ == "__main__":
    anyio.run(main)
