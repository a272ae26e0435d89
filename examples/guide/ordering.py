import anyio

from cqrsbus import Bus

bus = Bus("printer", "memory:")
pages: list[int] = []
done = anyio.Event()


@bus.event_handler("page.printed")
async def printed(page: int) -> None:
    await anyio.sleep(0.01 if page % 2 else 0)
    pages.append(page)
    if len(pages) == 5:
        done.set()


async def main() -> None:
    async with bus:
        for page in range(5):
            await bus.publish("page.printed", page)
        await done.wait()
        print(pages)


if __name__ == "__main__":
    anyio.run(main)
