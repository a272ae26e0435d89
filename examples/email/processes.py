"""Child processes that live as long as a block, and are gone after it, whatever happens in it.

- When one ends that was started to stay, the block is cancelled, and fails with the name of that process.
- What a process says on stderr goes to a file, to be shown when something fails.
- Each is a session of its own: ctrl-C reaches the parent alone, which ends them in order, the last one first.
- A process is told to end by SIGTERM; one that has not after PATIENCE seconds is killed.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import DEVNULL, PIPE
from types import TracebackType
from typing import IO, Final, Self

import anyio
from anyio import CancelScope
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 5.0
MAX_LINE: Final = 1024


class ProcessFailedError(Exception):
    """A process ended too early, or with a failure."""


class Processes:
    """Python processes that belong together.

    Args:
        logs: A directory for what they say on stderr.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: list[Process] = []
        self._watchers = anyio.create_task_group()
        self._failure: ProcessFailedError | None = None
        # Settings of the user's own broker are not for these.
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("CQRSBUS_")}

    async def __aenter__(self) -> Self:
        await self._watchers.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """End all of them; not even cancellation keeps this from being done.

        Raises:
            ProcessFailedError: One of them ended by itself.
        """
        self._watchers.cancel_scope.cancel()
        with CancelScope(shield=True):
            while self._running:
                await _end(self._running.pop())
        # Cancellation may be the watchers' own, which only their group can tell; other errors leave as they are.
        cancelled = isinstance(exc, anyio.get_cancelled_exc_class())
        swallow = await self._watchers.__aexit__(*((exc_type, exc, traceback) if cancelled else (None, None, None)))
        if self._failure is not None:
            raise self._failure
        return swallow if cancelled else None

    async def start(self, name: str, *arguments: str, ready: str) -> tuple[int, str]:
        """Start a process and wait until it says that it is ready.

        Args:
            name: What to call it.
            arguments: Arguments for the Python interpreter.
            ready: What the line begins with that it prints when it is ready.

        Returns:
            Its process id, and the rest of that line.

        Raises:
            ProcessFailedError: It ended before, or said something else.
            TimeoutError: It said nothing for PATIENCE seconds.
        """
        with (self._logs / f"{name}.log").open("wb") as log:
            process = await self._spawn(arguments, stdout=PIPE, stderr=log)
        with anyio.fail_after(PATIENCE):
            line = await _first_line(process)
            if line is None:
                raise ProcessFailedError(f"{name} ended with exit code {await process.wait()} before it was ready")
        if not line.startswith(ready):
            raise ProcessFailedError(f"{name} said {line!r} instead of {ready!r}")
        self._watchers.start_soon(self._watch, name, process)
        return process.pid, line.removeprefix(ready).strip()

    async def run(self, name: str, *arguments: str) -> None:
        """Run a process to its end; what it says on stderr is seen at once.

        Args:
            name: What to call it.
            arguments: Arguments for the Python interpreter.

        Raises:
            ProcessFailedError: It ended with another exit code than 0.
        """
        process = await self._spawn(arguments, stdout=DEVNULL, stderr=None)
        if status := await process.wait():
            raise ProcessFailedError(f"{name} ended with exit code {status}")

    def logs(self) -> Mapping[str, str]:
        """What each of them has said on stderr, if anything."""
        texts = {path.stem: path.read_text("utf-8", "replace").strip() for path in sorted(self._logs.glob("*.log"))}
        return {name: text for name, text in texts.items() if text}

    async def _watch(self, name: str, process: Process) -> None:
        status = await process.wait()
        self._failure = self._failure or ProcessFailedError(f"{name} ended with exit code {status}")
        self._watchers.cancel_scope.cancel()

    async def _spawn(self, arguments: tuple[str, ...], *, stdout: int, stderr: IO[bytes] | None) -> Process:
        # Nothing may come between the start of a process and taking note of it.
        with CancelScope(shield=True):
            self._running.append(
                await anyio.open_process(
                    [sys.executable, *arguments],
                    stdin=DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    cwd=ROOT,
                    env=self.environment,
                    start_new_session=True,
                )
            )
        return self._running[-1]


async def _first_line(process: Process) -> str | None:
    """Return the first line that a process prints; None if it ends without one."""
    assert process.stdout is not None
    try:
        line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", MAX_LINE)
    except anyio.IncompleteRead:
        return None
    return line.decode().rstrip("\r")


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
        with anyio.move_on_after(PATIENCE):
            await process.wait()
    if process.returncode is None:
        process.kill()
    await process.aclose()
