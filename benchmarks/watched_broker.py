"""A broker that can be watched: ``python -m benchmarks.watched_broker BACKEND``; it obeys orders as a worker does."""

import json
import sys

import anyio
from anyio.to_thread import run_sync

from benchmarks.sampler import Sampler
from cqrsbus import Broker


async def serve() -> None:
    """Run a broker on a free port until there are no more orders."""
    sampler = Sampler()
    async with Broker("tcp://127.0.0.1:0") as broker:
        print("ready", flush=True)
        while line := await run_sync(sys.stdin.readline, abandon_on_cancel=True):
            order = json.loads(line)
            answer = sampler.turn(on=order["sample"]) if "sample" in order else {"url": broker.url}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    anyio.run(serve, backend_options={"use_uvloop": sys.argv[1] == "uvloop"})
