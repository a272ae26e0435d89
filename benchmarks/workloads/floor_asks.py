"""One question at a time over blocking sockets: the floor of every ask."""

from collections.abc import Generator
from contextlib import contextmanager

from benchmarks.processes import Worker
from benchmarks.systems.floor import FLOOR, floor
from benchmarks.workloads.sizes import Sizes
from benchmarks.workloads.turns import BURSTS, Burst, Contender

_COUNT = 6_000


@contextmanager
def contender(sizes: Sizes) -> Generator[Contender]:
    """Processes of its own that ask whenever others ask one at a time."""
    count = sizes.times(_COUNT) // BURSTS

    def burst(caller: Worker) -> Burst:
        return Burst({}, {"ask one at a time": [1e6 * each for each in caller.do(count=count)["durations"]]})

    with floor() as caller:
        caller.do(count=count)
        yield Contender(FLOOR, {"asks one at a time": lambda: burst(caller)})
