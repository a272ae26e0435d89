import threading

import anyio
from anyio.to_thread import run_sync

from cqrsbus import Bus

bus = Bus("mail", "memory:", warn_blocking=0.5)
pinged = threading.Event()


def render(name: str) -> str:
    """Takes its time, and never awaits: here, until somebody has pinged."""
    assert pinged.wait(10)
    return f"<p>Dear {name}</p>"


@bus.query_handler("page.sync")
def page(name: str) -> str:
    return render(name)


@bus.query_handler("page.threaded")
async def page_in_thread(name: str) -> str:
    return await run_sync(render, name)


@bus.query_handler("ping")
async def ping(_: None) -> str:
    pinged.set()
    return "pong"


async def ask(topic: str, answers: list[str]) -> None:
    answers.append(await bus.ask(topic, "Ann", returns=str))


async def main() -> None:
    async with bus:
        for topic in ("page.sync", "page.threaded"):
            pinged.clear()
            answers: list[str] = []
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask, topic, answers)
                await anyio.wait_all_tasks_blocked()
                print(await bus.ask("ping"))
            print(topic, answers)


if __name__ == "__main__":
    anyio.run(main)
