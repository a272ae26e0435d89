import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "compiler.py"


def test_a_missing_compiler_is_named() -> None:
    environment = {**os.environ, "CC": "no-such-compiler -pthread"}
    command = [sys.executable, str(SCRIPT)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == "there is no C compiler here: no-such-compiler is not found\n"
