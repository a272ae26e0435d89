"""How long imports take: what each package does when it is named, and what a program does that uses it.

Both come from bytecode, as installed packages do: where the environment forbids writing it, a package under
development would be compiled at each start, and its peer would not.
"""

import os
import subprocess
import sys
from tempfile import TemporaryDirectory

from benchmarks.figures import Record
from benchmarks.workloads.sizes import Sizes

#: What is timed, each by itself. Of the last three, the second defines a model, as importing messages does.
STATEMENTS = (
    "import pydantic",
    "import cqrsbus",
    "from pydantic import BaseModel, TypeAdapter",
    "from pydantic import create_model; create_model('Message')",
    "from cqrsbus import Bus, Command, Query, Event",
)

_TIMES = 5
_PROGRAM = "import time; began = time.process_time(); {}; print(time.process_time() - began)"


def measure(sizes: Sizes, record: Record) -> None:
    """Run each in turn in fresh processes; the CPU time counts, which other processes disturb the least."""
    with TemporaryDirectory(prefix="cqrsbus-bytecode-") as bytecode:
        for statement in STATEMENTS:
            _seconds(statement, bytecode)
        for _ in range(_TIMES):
            for statement in STATEMENTS:
                record.add(statement, ms=_seconds(statement, bytecode) * 1000)


def _seconds(statement: str, bytecode: str) -> float:
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode, "PYTHONDONTWRITEBYTECODE": ""}
    command = (sys.executable, "-c", _PROGRAM.format(statement))
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    return float(done.stdout)
