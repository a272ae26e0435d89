"""A page's console sessions, carried out as a reader would.

The rules:

1. Each line behind ``$`` is a shell command, the lines below it are what the terminal then shows, errors and all.
2. Commands that serve are left running until the page is over; the lines shown are waited for. They must end well
   when they are told to stop. Every other command must end, and with 0 unless its exit code is asked for next.
3. A ``text`` block that is no inclusion is what the last serving command shows next.
4. The port is any free one, and times, durations and random names are written as on the page.
"""

import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.docs.blocks import ROOT, Block

PATIENCE: Final = 30.0
SERVING: Final = re.compile(
    r"cqrsbus (broker|run|sub) |cqrsbus broker$|python -m notes\.(service|watcher)|python service\.py"
)

_SAME: Final = (
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:9100"),
    (re.compile(r"^\d\d:\d\d:\d\d "), "12:00:00 "),
    (re.compile(r"\banonymous-[0-9a-f]{8}\b"), "anonymous-1a2b3c4d"),
    (re.compile(r" in \d+\.\d+s$"), " in 0.35s"),
)


def commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """The commands of a console block, each with the lines it shows."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        yield command.partition("  # ")[0].strip(), shown


def normal(line: str) -> str:
    """A line with everything that differs from run to run as it is on the page."""
    line = line.rstrip()
    for pattern, same in _SAME:
        line = pattern.sub(same, line)
    return line


class Terminals:
    """All the terminals of one page.

    Args:
        directory: Where the commands run.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._serving: list[_Serving] = []
        self._status = 0
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{self._shims()}:{os.environ['PATH']}"}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        ends = [serving.stop() for serving in reversed(self._serving)]
        if exc is None:
            assert self._status == 0, "the last command failed, and the page does not say so"
            assert [shown for code, shown in ends if code] == []

    def run(self, command: str, shown: list[str]) -> None:
        """Carry out a command and look at what it shows."""
        if command != "echo $?":
            assert self._status == 0, f"the command before {command!r} failed, and the page does not say so"
        if SERVING.match(command):
            self._serve(command, shown)
        else:
            self._finish(command, shown)

    def expect(self, lines: list[str]) -> None:
        """Wait until the last serving command has shown these lines."""
        for line in lines:
            self._serving[-1].wait_for(line)

    def _finish(self, command: str, shown: list[str]) -> None:
        script = f"set -o pipefail; (exit {self._status}); {command}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self._directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert [normal(line) for line in done.stdout.splitlines()] == shown, command
        self._status = done.returncode

    def _serve(self, command: str, shown: list[str]) -> None:
        environment = {**self._environment, "CQRSBUS_LISTEN": "tcp://127.0.0.1:0"}
        free_port = command.replace("127.0.0.1:9100", "127.0.0.1:0") if "broker" in command else command
        serving = _Serving(free_port, self._directory, environment)
        self._serving.append(serving)
        for line in shown:
            found = serving.wait_for(line)
            if found.startswith("listening on tcp://"):
                self._environment["CQRSBUS_URL"] = found.removeprefix("listening on ")

    def _shims(self) -> Path:
        """The commands `python` and `cqrsbus`, wherever this Python is installed."""
        shims = self._directory / ".bin"
        shims.mkdir()
        for name, arguments in (("python", []), ("cqrsbus", ["-m", "cqrsbus"])):
            shim = shims / name
            shim.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, *arguments])} "$@"\n', "utf-8")
            shim.chmod(0o755)
        return shims


class _Serving:
    """A command that runs until it is told to stop."""

    def __init__(self, command: str, directory: Path, environment: dict[str, str]) -> None:
        self._command = command
        self._process = subprocess.Popen(
            shlex.split(command),
            cwd=directory,
            env=environment,
            executable=str(directory / ".bin" / shlex.split(command)[0]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._shown: list[str] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_for(self, expected: str) -> str:
        """Wait for a line, and return it as it is. Log lines may come before it."""
        while True:
            try:
                line = self._lines.get(timeout=PATIENCE)
            except queue.Empty:
                line = None
            assert line is not None, f"{self._command!r} did not show {expected!r}: {self._shown}"
            if normal(line) == expected:
                return line

    def stop(self) -> tuple[int, str]:
        """Press ctrl-C; returns the exit code and all it showed."""
        self._process.send_signal(signal.SIGINT)
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._reader.join()
        return code, "\n".join(self._shown)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self._shown.append(line.rstrip("\n"))
                self._lines.put(self._shown[-1])
        self._lines.put(None)
