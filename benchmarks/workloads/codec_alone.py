"""Encode, decode and validate alone, in one process: what a typed bus cannot do without."""

import json
import subprocess
import sys
import time

from benchmarks.figures import Record
from benchmarks.message import there_and_back
from benchmarks.workloads.sizes import Sizes

SUBJECT = "encode, decode, validate"
_COUNT = 100_000


def measure(sizes: Sizes, record: Record) -> None:
    """Do it in a process of its own."""
    count = str(sizes.times(_COUNT))
    command = (sys.executable, "-m", "benchmarks.workloads.codec_alone", count)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    record.add(SUBJECT, **json.loads(done.stdout))


def main() -> None:
    """Print the CPU µs of one message."""
    count = int(sys.argv[1])
    began = time.process_time()
    for _ in range(count):
        there_and_back()
    print(json.dumps({"CPU µs": (time.process_time() - began) / count * 1e6}))


if __name__ == "__main__":
    main()
