"""Many who are there and do nothing: ``python -m benchmarks.crowd SYSTEM URL CONNECTIONS SUBSCRIPTIONS``.

So many connections, and on each so many subscriptions to topics that nobody publishes to. It says ``ready`` when all
are in place.
"""

import sys
from contextlib import AsyncExitStack

import anyio
from anyio.lowlevel import checkpoint

from cqrsbus import Bus


async def ours(url: str, connections: int, subscriptions: int) -> None:
    """Buses that listen."""
    left, ready = connections, anyio.Event()

    async def listen(number: int) -> None:
        nonlocal left
        async with AsyncExitStack() as stack:
            bus = await stack.enter_async_context(Bus(f"idle-{number}", url, warn_blocking=None, connect_timeout=60))
            for topic in range(subscriptions):
                await stack.enter_async_context(bus.subscribe(f"idle.{number}.{topic}", bytes, timeout=60))
            left -= 1
            if left == 0:
                ready.set()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        for number in range(connections):
            tasks.start_soon(listen, number)
            await checkpoint()
        await ready.wait()
        print("ready", flush=True)


async def nats(url: str, connections: int, subscriptions: int) -> None:
    """Clients of nats-py that do nothing."""
    import nats

    clients = [await nats.connect(url) for _ in range(connections)]
    print("ready", flush=True)
    await anyio.sleep_forever()
    del clients  # they live as long as they are named


if __name__ == "__main__":
    name, url, connections, subscriptions = sys.argv[1:]
    role = {"ours": ours, "nats": nats}[name]
    anyio.run(role, url, int(connections), int(subscriptions), backend_options={"use_uvloop": True})
