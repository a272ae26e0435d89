"""How long ``import cqrsbus`` takes, and ``import pydantic``, each in a fresh process."""

import subprocess
import sys

from benchmarks.figures import Record
from benchmarks.workloads.sizes import Sizes

_TIMES = 5
_PROGRAM = "import time; began = time.process_time(); import {}; print(time.process_time() - began)"


def measure(sizes: Sizes, record: Record) -> None:
    """Import each in turn, several times; the CPU time counts, which other processes disturb the least."""
    for _ in range(_TIMES):
        for module in ("pydantic", "cqrsbus"):
            command = (sys.executable, "-c", _PROGRAM.format(module))
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
            record.add(f"import {module}", ms=float(done.stdout) * 1000)
