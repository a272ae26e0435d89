import anyio
from anyio.abc import TaskStatus

from cqrsbus import Broker, Bus


async def serve(
    url: str,
    stop: anyio.Event,
    stopped: anyio.Event,
    *,
    task_status: TaskStatus[str],
) -> None:
    async with Broker(url) as broker:
        task_status.started(broker.url)
        await stop.wait()
    stopped.set()


async def main() -> None:
    stop, stopped = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        url = await tasks.start(serve, "tcp://127.0.0.1:0", stop, stopped)
        async with Bus("radio", url) as bus, bus.subscribe("news.*", str) as news:
            stop.set()
            await stopped.wait()
            print("the broker is gone")
            await tasks.start(serve, url, anyio.Event(), stopped)
            await bus.publish("news.now", "the broker is back", timeout=30)
            print(await anext(news))
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main)
