"""What every service of the shop does alike: it keeps an audit log, and runs as a process."""

import logging
from typing import Any

import anyio

from cqrsbus import Bus, Handling, NextHandling

log = logging.getLogger("audit")


async def audit(handling: Handling, call_next: NextHandling) -> Any:
    """Write down what became of a message, how long it took, and which conversation it belongs to."""
    began = anyio.current_time()
    outcome = "cancelled"
    try:
        answer = await call_next(handling)
        outcome = "done"
        return answer
    except Exception as error:
        outcome = type(error).__name__
        raise
    finally:
        milliseconds = (anyio.current_time() - began) * 1000
        ctx = handling.context
        log.info("%s from %s: %s, %.0f ms [%s]", ctx.topic, ctx.sender, outcome, milliseconds, ctx.correlation_id)


def serve(bus: Bus) -> None:
    """Run a service until it is told to stop; says when it is ready."""
    logging.basicConfig(level=logging.INFO)
    anyio.run(_serve, bus)


async def _serve(bus: Bus) -> None:
    async with bus:
        print(f"{bus.name}: ready", flush=True)
        await bus.run()
