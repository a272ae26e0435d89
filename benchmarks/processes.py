"""The processes of a benchmark: how they are started, given orders, measured and ended.

The rules:

1. A worker says ``ready``, then reads orders, one JSON object a line, and answers each with one.
2. What a process has cost is asked of the kernel, so servers written in any language are measured alike.
3. Nothing is waited for without a bound: a process that is silent for too long is killed, and the run fails.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

PATIENCE = 60.0
_ALL_OF_A_PROCESS = 2
_PAGE = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """What a process has used of the processor so far, user and system, all of its threads."""
    # Linux' clock of a process by its id, as clock_getcpuclockid(3) makes it: in nanoseconds, where /proc counts in
    # hundredths of a second, which is more than a broker takes for a thousand events.
    return time.clock_gettime((~pid << 3) | _ALL_OF_A_PROCESS)


def resident_bytes(pid: int) -> int:
    """The memory that a process occupies."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """A process of ours."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = " ".join(command)
        self._running = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.pid = self._running.pid

    def wait_for(self, text: str) -> str:
        """Read until a line has the text; returns that line."""
        seen = list[str]()
        while text not in (line := self._read_line()):
            seen.append(line)
            if not line:
                raise RuntimeError(f"{self._command} ended before it said {text!r}: {''.join(seen[-20:])}")
        return line.strip()

    def _read_line(self) -> str:
        assert self._running.stdout is not None
        impatient = Timer(PATIENCE, self._running.kill)
        impatient.start()
        try:
            return self._running.stdout.readline()
        finally:
            impatient.cancel()

    def _write_line(self, line: str) -> None:
        assert self._running.stdin is not None
        self._running.stdin.write(line + "\n")
        self._running.stdin.flush()

    def end(self) -> None:
        """End it, gently if it can be."""
        self._running.terminate()
        try:
            self._running.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.communicate()


class Worker(Process):
    """A process that runs ``benchmarks.worker``, or what speaks as it does."""

    def __init__(self, *arguments: str, module: str = "benchmarks.worker") -> None:
        super().__init__((sys.executable, "-m", module, *arguments))

    def order(self, **order: object) -> None:
        """Give an order; its answer is to be read."""
        self._write_line(json.dumps(order))

    def answer(self) -> dict[str, Any]:
        """The answer to the order before."""
        found: dict[str, Any] = json.loads(self.wait_for("{"))
        return found

    def do(self, **order: object) -> dict[str, Any]:
        """Give an order and wait for its answer."""
        self.order(**order)
        return self.answer()


@contextmanager
def server(command: Sequence[str], *, until: str) -> Generator[tuple[Process, str]]:
    """Run a server; yields it and the line by which it said that it is ready."""
    process = Process(command)
    try:
        yield process, process.wait_for(until)
    finally:
        process.end()


@contextmanager
def workers(*each: Sequence[str], module: str = "benchmarks.worker") -> Generator[list[Worker]]:
    """Start workers at the same time; yields them when all are ready."""
    started = list[Worker]()
    try:
        started.extend(Worker(*arguments, module=module) for arguments in each)
        for worker in started:
            worker.wait_for("ready")
        yield started
    finally:
        for worker in started:
            worker.end()
