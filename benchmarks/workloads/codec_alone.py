"""Encode, decode and validate alone, in one process: what a typed bus cannot do without.

As a program it is a worker: told a ``count``, and whether to do it ``by_hand``, it answers with the CPU µs of one
message.
"""

import json
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial

from benchmarks.message import there_and_back, there_and_back_by_hand
from benchmarks.processes import Worker, workers
from benchmarks.workloads.sizes import Sizes
from benchmarks.workloads.turns import BURSTS, Burst, Contender

SUBJECT = "encode, decode, validate"
BY_HAND = "pydantic and msgpack by hand"
_COUNT = 120_000


@contextmanager
def contenders(sizes: Sizes) -> Generator[list[Contender]]:
    """A process of its own that does it in turn with who carries events: as the bus does, and by hand."""
    count = sizes.times(_COUNT) // BURSTS

    def burst(worker: Worker, *, by_hand: bool) -> Burst:
        return Burst(worker.do(count=count, by_hand=by_hand))

    with workers((), module="benchmarks.workloads.codec_alone") as (worker,):
        ways = [(SUBJECT, partial(burst, worker, by_hand=False)), (BY_HAND, partial(burst, worker, by_hand=True))]
        for _, way in ways:
            way()
        yield [Contender(name, {"events": way}) for name, way in ways]


def main() -> None:
    """Be that process."""
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        count, once = order["count"], there_and_back_by_hand if order["by_hand"] else there_and_back
        began = time.process_time()
        for _ in range(count):
            once()
        print(json.dumps({"CPU µs": (time.process_time() - began) / count * 1e6}), flush=True)


if __name__ == "__main__":
    main()
