"""The demonstration as a whole: what it says, and that nothing of it is left, however it ends."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import pytest
from rich.console import Console

from examples.email import demo
from examples.email.processes import ROOT

COMMAND = [sys.executable, "-W", "default", "-m", "examples.email.demo"]
SERVICES = ["broker", "mailer", "search"]
TIMEOUT = 30


@pytest.fixture(autouse=True)
def own_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that the demo starts inherits this, and can be told by it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.fixture(autouse=True)
def nothing_is_left(own_temporary_directory: None, tmp_path: Path) -> Iterator[None]:
    yield
    assert list(tmp_path.iterdir()) == []
    assert started_here(tmp_path) == []


def started_here(directory: Path) -> list[str]:
    """The processes, other than this one, that know the directory."""
    mark = f"TMPDIR={directory}".encode()
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0") and process.name != str(os.getpid()):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it has just ended, or is somebody else's
    return found


def pids_in(output: str) -> list[int]:
    return [int(pid) for pid in re.findall(r"\bpid (\d+)", output)]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def started() -> Generator[subprocess.Popen[str]]:
    """Start the demo; it is told to stop if the test fails before it has ended."""
    with subprocess.Popen(COMMAND, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            # Not killed: nobody would end what it has started.
            if process.poll() is None:
                process.terminate()


def read_until(process: subprocess.Popen[str], wanted: str) -> str:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.strip().startswith(wanted):
            return "".join(lines)
    raise AssertionError(f"it ended before {wanted!r}: {lines}")


def test_it_tells_what_happens_and_ends_by_itself() -> None:
    done = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT, check=False)

    assert done.returncode == 0, done.stderr
    for name in [*SERVICES, "importer"]:
        assert re.search(rf"^  {name} ", done.stdout, re.MULTILINE)
    assert "Which mails contain Account? 10 do" in done.stdout
    assert "Payment received" in done.stdout
    assert "Which mails contain 账户? 6 do" in done.stdout
    assert "项目进度" in done.stdout
    assert re.search(r"^Done: 46 sent, 45 stored, 4 broken, took \d+\.\d s$", done.stdout, re.MULTILINE)
    assert "50/50" in done.stderr, "the progress bar"
    assert done.stderr.count("skipped message") == 4
    assert "Traceback" not in done.stdout + done.stderr
    pids = pids_in(done.stdout)
    assert len(pids) == len(SERVICES)
    assert not any(is_alive(pid) for pid in pids)


@pytest.mark.parametrize("moment", ["A mail archive", "broker", "search", "importer", "Which mails"])
def test_ctrl_c_leaves_nothing_behind(moment: str) -> None:
    with started() as process:
        output = read_until(process, moment)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=TIMEOUT)

    assert process.returncode in ((0, 130) if moment == "Which mails" else (130,)), out + err
    assert "Traceback" not in out + err
    assert not any(is_alive(pid) for pid in pids_in(output + out))
    if process.returncode:
        assert "Stopped: every process has ended, every file is gone." in out


def test_an_impatient_ctrl_c_leaves_nothing_behind_either() -> None:
    with started() as process:
        output = read_until(process, "search")
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
        out, err = process.communicate(timeout=TIMEOUT)

    assert process.returncode, "it did not end by itself"
    assert "Stopped" in out, err
    assert not any(is_alive(pid) for pid in pids_in(output))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_ways_of_telling_it_to_stop(number: signal.Signals) -> None:
    with started() as process:
        output = read_until(process, "search")
        process.send_signal(number)
        out, err = process.communicate(timeout=TIMEOUT)

    assert process.returncode == 130
    assert "Traceback" not in out + err
    assert not any(is_alive(pid) for pid in pids_in(output))


@pytest.mark.parametrize("victim", SERVICES)
def test_when_a_process_dies_it_fails_and_says_so(victim: str) -> None:
    with started() as process:
        output = read_until(process, "search")
        os.kill(pids_in(output)[SERVICES.index(victim)], signal.SIGKILL)
        out, err = process.communicate(timeout=TIMEOUT)

    assert process.returncode == 1, out
    assert f"The demo failed: {victim} ended with exit code -9" in err
    assert not any(is_alive(pid) for pid in pids_in(output))


@pytest.mark.anyio
async def test_logs_are_shown_when_something_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shown = Console(width=200, no_color=True, force_terminal=False)
    monkeypatch.setattr(demo, "err", shown)
    # A mailer that cannot work: its database is in a directory that is not there.
    monkeypatch.setattr(demo, "MAIL", "missing/mail.db")
    with anyio.fail_after(TIMEOUT):
        status = await demo.run()

    out, _ = capfd.readouterr()
    assert status == 1
    assert "mailer said:" in out
    assert "unable to open database file" in out
    assert "The demo failed: mailer ended with exit code 1 before it was ready" in out
