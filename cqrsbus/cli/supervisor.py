"""The parent of ``cqrsbus run --workers`` and ``--reload``: it starts processes and looks after them.

The rules:

1. The parent never imports the application: each process is the same command with ``--supervised``.
2. A process that ends is started again, after a pause that grows while it keeps ending. With ``--reload`` it is the
   next change of a file that starts it again. One that says it was used wrongly ends everything: it would again.
3. Each process has a session of its own, so ctrl-C reaches the parent alone, which passes it on as one SIGTERM.
4. Each holds the reading end of a pipe of which only the parent has the other: however the parent ends, even by
   SIGKILL, its processes notice and stop.
"""

import logging
import os
import signal
import subprocess
import threading
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing, suppress

import anyio
from anyio.abc import Process
from watchfiles import PythonFilter, awatch

from cqrsbus.background import Background
from cqrsbus.cli.failures import CommandError, ExitCode
from cqrsbus.cli.running import Stop
from cqrsbus.links.backoff import FullJitter

log = logging.getLogger("cqrsbus.cli")

#: Seconds that a process has to drain; then it is killed.
STOP_TIMEOUT = 30.0
#: Seconds after which a process counts as having started well.
STABLE_AFTER = 10.0
#: Milliseconds.
_LOOK_UP_AFTER = 100


class Supervisor:
    """Looks after the processes of one command.

    Args:
        command: What each process runs.
        workers: How many of them.
        reload: Start them all again when a Python file below the current directory changes.
    """

    def __init__(self, command: Sequence[str], *, workers: int, reload: bool) -> None:
        self._command = command
        self._workers = workers
        self._reload = reload
        self._failed = False

    async def run(self, stop: Stop) -> None:
        """Start the processes and keep them running until told to stop.

        Raises:
            CommandError: They cannot run at all.
        """
        async with aclosing(self._changes()) as changes:
            while stop.received is None:
                await self._run_until_change(stop, changes)

    async def _run_until_change(self, stop: Stop, changes: AsyncGenerator[set[str]]) -> None:
        async with Background() as tasks:
            # Watching starts first: a change made while the processes start counts.
            with stop.only_here():
                for number in range(1, self._workers + 1):
                    tasks.start_soon(self._keep_alive, number)
                changed = await anext(changes)
                log.info("starting again: %s changed", ", ".join(sorted(changed)))

    async def _changes(self) -> AsyncGenerator[set[str]]:
        """The names of the files that changed, whenever some have; never, unless asked to watch."""
        if not self._reload:
            await anyio.sleep_forever()
        # Told to stop, it first waits for its thread, which looks up this often.
        async for changes in awatch(".", watch_filter=PythonFilter(), debounce=400, rust_timeout=_LOOK_UP_AFTER):
            yield _names(path for _, path in changes)

    async def _keep_alive(self, number: int) -> None:
        backoff = FullJitter()
        while True:
            started = anyio.current_time()
            code = await self._run_once(number)
            if code == ExitCode.USAGE and not self._reload:
                self._give_up(number)
            if self._reload:
                log.warning("the process ended %s; waiting for a change", _manner(code))
                await anyio.sleep_forever()
            if anyio.current_time() - started >= STABLE_AFTER:
                backoff.reset()
            pause = backoff.next_pause()
            log.warning("worker %d ended %s; starting it again in %.1f s", number, _manner(code), pause)
            await anyio.sleep(pause)

    def _give_up(self, number: int) -> None:
        # All of them find out; one that says so is enough.
        if not self._failed:
            self._failed = True
            raise CommandError(f"worker {number} cannot run", ExitCode.USAGE)

    async def _run_once(self, number: int) -> int:
        process = await anyio.open_process(
            self._command, stdin=subprocess.PIPE, stdout=None, stderr=None, start_new_session=True
        )
        log.info("worker %d is process %d", number, process.pid)
        async with process:
            try:
                return await process.wait()
            finally:
                await _stop(process)


async def _stop(process: Process) -> None:
    with anyio.move_on_after(STOP_TIMEOUT, shield=True):
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
    if process.returncode is None:
        log.warning("process %d did not stop within %g s and is killed", process.pid, STOP_TIMEOUT)


def _names(paths: Iterable[str]) -> set[str]:
    return {os.path.relpath(path) for path in paths}


def _manner(code: int) -> str:
    return f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"


def end_with_supervisor() -> None:
    """In a supervised process: stop when the parent is gone, and for good if stopping takes too long."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(STOP_TIMEOUT)
        os._exit(ExitCode.FAILED)

    threading.Thread(target=watch, name="cqrsbus supervisor watch", daemon=True).start()
