import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from cqrsbus.cli.supervisor import Supervisor, _manner
from tests.cli.terminal import RunCommand, StartBroker, StartCommand, Terminal

ROOT = Path(__file__).parents[2]


def pids(terminal: Terminal, count: int) -> dict[int, int]:
    """The processes of the workers, by number, as they are started."""
    found = [terminal.err.wait_for(r"worker (\d+) is process (\d+)") for _ in range(count)]
    return {int(each[1]): int(each[2]) for each in found}


@pytest.fixture
def workers(app: Path, broker: StartBroker, start: StartCommand) -> tuple[Terminal, str, dict[int, int]]:
    """Two workers that serve, their broker's URL, and their processes."""
    _, url = broker()
    terminal = start("run", "app:bus", "-b", url, "--workers", "2")
    processes = pids(terminal, 2)
    for _ in processes:
        terminal.err.wait_for("serving mailer")
    return terminal, url, processes


def test_workers_share_the_work_and_end_together(
    workers: tuple[Terminal, str, dict[int, int]], call: RunCommand
) -> None:
    terminal, url, processes = workers
    assert len(set(processes.values())) == 2
    answered = {json.loads(call("ask", "mail.echo", "{}", "-b", url)[1])["pid"] for _ in range(2)}
    assert answered == set(processes.values())
    terminal.signal(signal.SIGINT)
    # It counts as ended only when nobody holds its stderr any more.
    assert terminal.end() == 0
    assert "Traceback" not in terminal.err.text


def test_a_worker_that_dies_is_started_again(workers: tuple[Terminal, str, dict[int, int]], call: RunCommand) -> None:
    terminal, url, processes = workers
    os.kill(processes[1], signal.SIGKILL)
    terminal.err.wait_for("worker 1 ended by SIGKILL; starting it again in")
    again = pids(terminal, 1)
    terminal.err.wait_for("serving mailer")
    answered = {json.loads(call("ask", "mail.echo", "{}", "-b", url)[1])["pid"] for _ in range(2)}
    assert answered == {again[1], processes[2]}
    terminal.signal(signal.SIGTERM)
    assert terminal.end() == 0


def test_workers_do_not_outlive_a_killed_parent(workers: tuple[Terminal, str, dict[int, int]]) -> None:
    terminal, _, _ = workers
    terminal.signal(signal.SIGKILL)
    assert terminal.end() == -signal.SIGKILL


def test_a_second_signal_ends_parent_and_workers_at_once(
    workers: tuple[Terminal, str, dict[int, int]], start: StartCommand
) -> None:
    terminal, url, _ = workers
    start("ask", "mail.hang", "{}", "-b", url, "--timeout", "600")
    terminal.err.wait_for("^hanging$")
    terminal.signal(signal.SIGINT)
    for _ in range(3):  # the parent and both workers
        terminal.err.wait_for("stopping after SIG")
    terminal.signal(signal.SIGINT)
    assert terminal.end() == -signal.SIGINT
    assert "Traceback" not in terminal.err.text


def test_workers_that_cannot_run_are_not_tried_again(app: Path, call: RunCommand) -> None:
    code, _, err = call("run", "app:nothing", "--workers", "2")
    assert code == 2
    assert "the module app has no 'nothing'" in err
    assert "cannot run" in err.splitlines()[-1]


def test_reload_serves_what_was_changed(app: Path, broker: StartBroker, start: StartCommand, call: RunCommand) -> None:
    _, url = broker()
    terminal = start("run", "app:bus", "-b", url, "--reload")
    terminal.err.wait_for("serving mailer")
    source = app.read_text()
    assert json.loads(call("ask", "mail.echo", "1", "-b", url)[1])["got"] == 1

    app.write_text(source.replace('{"got": message', '{"got": [message, "changed"]'))
    terminal.err.wait_for(r"starting again: app\.py changed")
    terminal.err.wait_for("serving mailer")
    assert json.loads(call("ask", "mail.echo", "1", "-b", url)[1])["got"] == [1, "changed"]

    app.write_text(source + "\nthis is no Python\n")
    terminal.err.wait_for("app cannot be imported: SyntaxError")
    terminal.err.wait_for("the process ended with exit code 1; waiting for a change")
    app.write_text(source.replace('{"got": message', '{"got": "repaired"'))
    terminal.err.wait_for("serving mailer")
    assert json.loads(call("ask", "mail.echo", "1", "-b", url)[1])["got"] == "repaired"

    terminal.signal(signal.SIGINT)
    assert terminal.end() == 0
    assert "KeyboardInterrupt" not in terminal.err.text


@pytest.mark.anyio
async def test_watching_for_changes_ends_soon_when_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    changes = Supervisor([], workers=1, reload=True)._changes()
    begin = anyio.current_time()
    with anyio.move_on_after(0.2) as told_to:
        await anext(changes)
    assert told_to.cancelled_caught
    assert anyio.current_time() - begin < 8
    await changes.aclose()


def test_how_a_process_ended_is_said() -> None:
    assert _manner(3) == "with exit code 3"
    assert _manner(-signal.SIGKILL) == "by SIGKILL"


def test_a_worker_that_does_not_stop_by_itself_ends_all_the_same() -> None:
    code = (
        "import signal, threading; from cqrsbus.cli import supervisor\n"
        "supervisor.STOP_TIMEOUT = 0.05\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "supervisor.end_with_supervisor(); threading.Event().wait()"
    )
    ended = subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, timeout=30, cwd=ROOT, check=False)
    assert ended.returncode == 1
