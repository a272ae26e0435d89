"""A command as a real process, with what it writes read line by line."""

import io
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Protocol

#: Seconds after which a line that does not come, or a process that does not end, is a failure.
PATIENCE = 30.0


class Stream:
    """What a process writes, line by line, with a place up to which it has been read."""

    def __init__(self, source: IO[str]) -> None:
        self._source = source
        self._lines: list[str] = []
        self._place = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._source:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._source.close()

    @property
    def text(self) -> str:
        """All of it, so far."""
        with self._changed:
            return "\n".join(self._lines)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait for the next line with this pattern; the lines up to it count as read."""
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            while True:
                while self._place < len(self._lines):
                    self._place += 1
                    if found := re.search(pattern, self._lines[self._place - 1]):
                        return found
                if self._closed or not self._changed.wait(deadline - time.monotonic()):
                    raise AssertionError(f"no line with {pattern!r} in:\n" + "\n".join(self._lines))

    def wait_closed(self) -> None:
        """Wait until every process that could write here has ended."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), f"still open after:\n{self.text}"


class Terminal:
    """One running command."""

    def __init__(
        self, arguments: Sequence[str], *, cwd: Path, env: dict[str, str], stdin: str | None, stdout: int
    ) -> None:
        self.cwd = cwd
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cqrsbus", *arguments],
            cwd=cwd,
            env=env,
            text=True,
            encoding="utf-8",
            errors="surrogateescape",
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stderr is not None
        self.out = Stream(self.process.stdout or io.StringIO())
        self.err = Stream(self.process.stderr)
        if self.process.stdin is not None:
            self.process.stdin.write(stdin or "")
            self.process.stdin.close()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait until it has ended, it and all that it started; returns the exit code."""
        code = self.process.wait(PATIENCE)
        self.out.wait_closed()
        self.err.wait_closed()
        return code

    def kill(self) -> None:
        """Kill it; what it started is to notice."""
        if self.process.poll() is None:
            self.process.kill()


class StartCommand(Protocol):
    """Starts a command; see the fixture ``start``."""

    def __call__(
        self,
        *arguments: str,
        stdin: str | None = None,
        stdout: int = subprocess.PIPE,
        env: dict[str, str] | None = None,
    ) -> Terminal: ...


class RunCommand(Protocol):
    """Runs a command to its end; see the fixture ``call``."""

    def __call__(
        self, *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None
    ) -> tuple[int, str, str]: ...


class StartBroker(Protocol):
    """Starts a broker on a free port, or at a URL; see the fixture ``broker``."""

    def __call__(self, *arguments: str, url: str = ...) -> tuple[Terminal, str]: ...


class Serve(Protocol):
    """Serves the small application; see the fixture ``serve``."""

    def __call__(self, url: str, *arguments: str) -> Terminal: ...
