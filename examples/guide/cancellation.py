import anyio

from cqrsbus import Bus

bus = Bus("search", "memory:")
started, stopped = anyio.Event(), anyio.Event()


@bus.query_handler("search.all")
async def search(word: str) -> list[str]:
    started.set()
    try:
        await anyio.sleep_forever()
    finally:
        stopped.set()
    return [word]


async def main() -> None:
    async with bus:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.ask, "search.all", "milk")
            await started.wait()
            tasks.cancel_scope.cancel()
        await stopped.wait()
        print("the caller left, so the handler was cancelled")


if __name__ == "__main__":
    anyio.run(main)
