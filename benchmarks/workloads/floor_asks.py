"""One question at a time over blocking sockets: the floor of every ask."""

from benchmarks.figures import Record
from benchmarks.systems.floor import FLOOR, floor
from benchmarks.workloads.sizes import Sizes

_COUNT = 5_000


def measure(sizes: Sizes, record: Record) -> None:
    """Ask one after the other."""
    count = sizes.times(_COUNT)
    with floor() as caller:
        caller.do(count=count // 10)
        done = caller.do(count=count)
    record.add(FLOOR, **{f"ask {name}, one at a time": value * 1e6 for name, value in done.items()})
