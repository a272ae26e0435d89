"""The demonstration of the order flow as a whole: what it says, and that nothing of it is left."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.email.processes import ROOT

COMMAND = [sys.executable, "-W", "default", "-m", "examples.orders.demo"]
TIMEOUT = 60


@pytest.fixture(autouse=True)
def no_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    yield
    assert list(tmp_path.iterdir()) == []


def alive(output: str) -> list[int]:
    """Those of the processes it names that still run."""
    found = [int(pid) for pid in re.findall(r"pid (\d+)", output)]
    assert len(found) == 5
    return [pid for pid in found if (Path("/proc") / str(pid)).exists()]


def read_until(process: subprocess.Popen[str], wanted: str) -> str:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(wanted):
            return "".join(lines)
    raise AssertionError(f"it ended before {wanted!r}: {lines}")


def test_it_tells_the_stories_and_ends_by_itself() -> None:
    done = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    told = re.sub(r"pid \d+", "pid N", done.stdout)
    assert told == (ROOT / "examples" / "orders" / "demo.txt").read_text("utf-8")
    assert alive(done.stdout) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_it_leaves_nothing_behind(number: signal.Signals) -> None:
    with subprocess.Popen(COMMAND, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        told = read_until(process, "Emil")
        process.send_signal(number)
        _, err = process.communicate(timeout=TIMEOUT)

    assert (process.returncode, err) == (130, "")
    assert alive(told) == []


def test_when_a_service_dies_it_fails_and_says_so() -> None:
    with subprocess.Popen(COMMAND, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        told = read_until(process, "Emil")
        os.kill(int(re.findall(r"payments +pid (\d+)", told)[0]), signal.SIGKILL)
        _, err = process.communicate(timeout=TIMEOUT)

    assert process.returncode == 1
    assert "The demo failed: payments ended with exit code -9" in err
    assert alive(told) == []
