"""The commands as real processes, and a small application for them to serve."""

import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cqrsbus.cli.app import app as app_under_test
from tests.cli.terminal import RunCommand, Serve, StartBroker, StartCommand, Terminal

ROOT = Path(__file__).parents[2]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartCommand]:
    """Start a command in an empty directory; whatever still runs at the end of the test is killed."""
    terminals: list[Terminal] = []

    def start(
        *arguments: str,
        stdin: str | None = None,
        stdout: int = subprocess.PIPE,
        env: dict[str, str] | None = None,
    ) -> Terminal:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        whole = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "COLUMNS": "200", **(env or {})}
        terminals.append(Terminal(arguments, cwd=tmp_path, env=whole, stdin=stdin, stdout=stdout))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.kill()
    for terminal in terminals:
        terminal.end()


@pytest.fixture
def call(start: StartCommand) -> RunCommand:
    """Run a command to its end; returns its exit code, stdout and stderr."""

    def call(*arguments: str, stdin: str | None = None, env: dict[str, str] | None = None) -> tuple[int, str, str]:
        terminal = start(*arguments, stdin=stdin, env=env)
        return terminal.end(), terminal.out.text, terminal.err.text

    return call


@pytest.fixture
def invoke() -> Iterator[RunCommand]:
    """As ``call``, in this process: much faster, for what ends before an event loop runs."""
    root, ours = logging.getLogger(), logging.getLogger("cqrsbus")
    handlers, levels = list(root.handlers), (root.level, ours.level)

    def invoke(*arguments: str, stdin: str | None = None, env: dict[str, str] | None = None) -> tuple[int, str, str]:
        result = CliRunner().invoke(app_under_test, arguments, input=stdin or "", env=env, prog_name="cqrsbus")
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, result.stdout.rstrip("\n"), result.stderr.rstrip("\n")

    yield invoke
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


@pytest.fixture
def broker(start: StartCommand) -> StartBroker:
    """Start a broker on a free port, or at a URL; returns its terminal and its URL."""

    def broker(*arguments: str, url: str = "tcp://127.0.0.1:0") -> tuple[Terminal, str]:
        terminal = start("broker", "--listen", url, *arguments)
        return terminal, terminal.out.wait_for(r"^listening on (tcp://127\.0\.0\.1:\d+)$")[1]

    return broker


APP = """
import os, sys
from typing import Any
import anyio
from cqrsbus import Bus

bus = Bus("mailer", connect_timeout=10)
spare = Bus("spare")
number = 3

@bus.query_handler("mail.echo")
async def echo(message: Any) -> Any:
    return {"got": message, "raw": b"\\x00\\xff", "pid": os.getpid()}

@bus.query_handler("mail.fail")
async def fail(message: Any) -> Any:
    raise LookupError("no\\nsuch \\x1b[31mmail")

@bus.query_handler("mail.hang")
async def hang(message: Any) -> Any:
    print("hanging", file=sys.stderr, flush=True)
    await anyio.sleep_forever()

@bus.command_handler("mail.store")
async def store(message: dict[str, int]) -> None:
    print("stored", message, file=sys.stderr, flush=True)
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A small application in the commands' directory: ``app:bus``."""
    path = tmp_path / "app.py"
    path.write_text(APP)
    return path


@pytest.fixture
def serve(start: StartCommand, app: Path) -> Serve:
    """Serve the small application; returns once it is connected."""

    def serve(url: str, *arguments: str) -> Terminal:
        terminal = start("run", "app:bus", "--broker", url, *arguments)
        terminal.err.wait_for(f"serving mailer on {url}")
        return terminal

    return serve
