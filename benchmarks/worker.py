"""One client process of a system: ``python -m benchmarks.worker SYSTEM handler|caller URL [LISTENERS [ANSWERS]]``.

It says ``ready`` and then obeys orders; see :mod:`benchmarks.processes`.
"""

import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import anyio
from anyio.to_thread import run_sync

from benchmarks import load
from benchmarks.sampler import Sampler
from benchmarks.systems import system
from benchmarks.systems.port import System

Obey = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


def say(**answer: object) -> None:
    """Answer the harness."""
    print(json.dumps(answer), flush=True)


async def handler(using: System, url: str, listeners: str = "1", answers: str = "answers") -> None:
    """Connect so many listeners, and count what they handle."""
    counter = load.Counter(lambda when: say(last=when))

    async def obey(order: dict[str, Any]) -> dict[str, Any]:
        counter.expect(order["expect"])
        return {"expecting": order["expect"]}

    async with AsyncExitStack() as stack:
        for _ in range(int(listeners)):
            handling = using.handling(url, counter.handled, answers=answers == "answers")
            await stack.enter_async_context(handling)
        await _serve(obey)


async def caller(using: System, url: str) -> None:
    """Connect one caller."""
    async with using.calling(url) as calls:

        async def obey(order: dict[str, Any]) -> dict[str, Any]:
            if order["do"] == "publish":
                return await load.publish(calls, order["count"])
            return await load.call(getattr(calls, order["do"]), order["count"], order["in_flight"])

        await _serve(obey)


async def _serve(obey: Obey) -> None:
    sampler = Sampler()
    print("ready", flush=True)
    while line := await run_sync(sys.stdin.readline, abandon_on_cancel=True):
        order = json.loads(line)
        if "sample" in order:
            say(**sampler.turn(on=order["sample"]))
        else:
            say(**await obey(order))


def main() -> None:
    """Be the process that the arguments describe."""
    name, role, *rest = sys.argv[1:]
    using = system(name)
    backend = "trio" if using.backend == "trio" else "asyncio"
    options = {"use_uvloop": using.backend == "uvloop"} if backend == "asyncio" else {}
    main = partial({"handler": handler, "caller": caller}[role], using, *rest)
    anyio.run(main, backend=backend, backend_options=options)


if __name__ == "__main__":
    main()
