"""Serve until told to stop, and then leave in peace."""

from contextlib import AbstractAsyncContextManager

import anyio

from cqrsbus.background import Background
from cqrsbus.signals import until_signal


async def serve_until_told(service: AbstractAsyncContextManager[object]) -> None:
    """Enter a bus or a broker, wait for SIGINT, SIGTERM or cancellation, and leave it.

    Leaving drains, and for that long it is shielded from the cancellation: what has been started is finished, within
    the service's own drain timeout. Entering is not shielded. A second signal ends the process at once.

    Args:
        service: What is served.
    """
    told = anyio.Event()
    async with Background() as tasks:
        tasks.start_soon(_serve, service, told)
        try:
            await until_signal()
        finally:
            told.set()


async def _serve(service: AbstractAsyncContextManager[object], told: anyio.Event) -> None:
    with anyio.CancelScope() as scope:
        async with service:
            scope.shield = True
            await told.wait()
