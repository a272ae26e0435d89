"""examples/quickstart.py as a newcomer runs it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_prints_what_happens_and_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "examples/quickstart.py"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert done.stdout.splitlines() == [
        "added: Write the report",
        "added: Call Ada",
        "open: Write the report, Call Ada",
    ]
    assert done.stderr == ""
    assert done.returncode == 0
