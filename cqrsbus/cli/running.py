"""Running a command on an event loop until it is done or told to stop.

The rules:

1. The first SIGINT or SIGTERM cancels what the command waits for: all of it, or the part that it has marked, so
   that what comes after that part (draining, unsubscribing) is still done.
2. From then on the system's own handling is in place: a second signal ends the process at once, whatever it does.
3. A signal is never an exception: nothing is torn in the middle, and there is no traceback.
"""

import logging
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from importlib.util import find_spec

import anyio
from anyio.abc import TaskStatus

from cqrsbus.background import Background
from cqrsbus.cli.failures import CommandError, UsageError
from cqrsbus.cli.settings import Backend
from cqrsbus.errors import BusError

log = logging.getLogger("cqrsbus.cli")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """What a command is told to stop by; made on its event loop."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._scope = anyio.CancelScope()

    @contextmanager
    def only_here(self) -> Generator[None]:
        """Let a signal cancel what is inside, and nothing else of the command."""
        outer = self._scope
        with anyio.CancelScope() as self._scope:
            yield
        if self.received is None:
            self._scope = outer

    async def wait(self) -> None:
        """Wait for a signal."""
        with self.only_here():
            await anyio.sleep_forever()

    async def run(self, work: Callable[["Stop"], Awaitable[None]]) -> None:
        """Do the work, under the rules of this module."""
        async with Background() as tasks:
            await tasks.start(self._listen)
            with self._scope:
                await work(self)

    async def _listen(self, *, task_status: TaskStatus[None]) -> None:
        try:
            with anyio.open_signal_receiver(*_SIGNALS) as signals:
                task_status.started()
                async for received in signals:
                    self.received = received
                    break
        finally:
            for each in _SIGNALS:
                signal.signal(each, signal.SIG_DFL)
        log.info("stopping after %s; another one ends it at once", self.received and self.received.name)
        self._scope.cancel()


@asynccontextmanager
async def entered(service: AbstractAsyncContextManager[object]) -> AsyncGenerator[None]:
    """Enter a broker or a bus; a URL that it cannot use is the caller's mistake.

    Raises:
        UsageError: The URL has options that its transport does not know.
        BusError: As entering does.
    """
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(service)
        except BusError:
            raise
        except ValueError as error:
            raise UsageError(str(error)) from None
        yield


def run(backend: Backend, work: Callable[[Stop], Awaitable[None]]) -> signal.Signals | None:
    """Run a command's work; returns the signal that ended it, if one did.

    Args:
        backend: The event loop.
        work: What to do.

    Raises:
        CommandError: The backend is not installed.
    """
    if find_spec(backend) is None:
        raise CommandError(f"the backend {backend} is not installed: pip install 'cqrsbus[{backend}]'")
    if backend == "trio":
        return anyio.run(_main, work, backend="trio")
    return anyio.run(_main, work, backend_options={"use_uvloop": backend == "uvloop"})


async def _main(work: Callable[[Stop], Awaitable[None]]) -> signal.Signals | None:
    stop = Stop()
    await stop.run(work)
    return stop.received
