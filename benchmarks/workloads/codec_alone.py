"""Encode, decode and validate alone, in one process: what a typed bus cannot do without.

As a program it is a worker: told a ``count``, it answers with the CPU µs of one message.
"""

import json
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

from benchmarks.message import there_and_back
from benchmarks.processes import Worker, workers
from benchmarks.workloads.sizes import Sizes
from benchmarks.workloads.turns import BURSTS, Burst, Contender

SUBJECT = "encode, decode, validate"
_COUNT = 120_000


@contextmanager
def contender(sizes: Sizes) -> Generator[Contender]:
    """A process of its own that does it whenever others carry events."""
    count = sizes.times(_COUNT) // BURSTS

    def burst(worker: Worker) -> Burst:
        return Burst(worker.do(count=count))

    with workers((), module="benchmarks.workloads.codec_alone") as (worker,):
        worker.do(count=count)
        yield Contender(SUBJECT, {"events": lambda: burst(worker)})


def main() -> None:
    """Be that process."""
    print("ready", flush=True)
    for line in sys.stdin:
        count = json.loads(line)["count"]
        began = time.process_time()
        for _ in range(count):
            there_and_back()
        print(json.dumps({"CPU µs": (time.process_time() - began) / count * 1e6}), flush=True)


if __name__ == "__main__":
    main()
