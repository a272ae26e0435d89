"""The order of a run: in each round every system in turn, so that what slows the machine slows all; then the rest."""

from collections.abc import Callable, Generator
from functools import partial

from benchmarks import systems
from benchmarks.figures import Record
from benchmarks.workloads import codec_alone, crowded, fan_out, floor_asks, large, one_to_one, start_up, stopped
from benchmarks.workloads.sizes import Sizes

Step = tuple[str, Callable[[], object]]


def steps(sizes: Sizes, record: Record) -> Generator[Step]:
    """Each step, and what to call for it."""
    for number in range(1, sizes.rounds + 1):
        for name, step in _round(sizes, record):
            yield f"round {number} of {sizes.rounds}: {name}", step
    yield "import", partial(start_up.measure, sizes, record)
    yield "large messages", partial(large.measure, sizes, record)
    yield "idle connections", partial(crowded.memory, sizes, record)
    yield "beside idle connections", partial(crowded.connections, sizes, record)
    yield "beside other subscriptions", partial(crowded.subscriptions, sizes, record)
    yield "a stopped subscriber", partial(stopped.measure, sizes, record)


def _round(sizes: Sizes, record: Record) -> Generator[Step]:
    for name in systems.names():
        if systems.missing(name) is None:
            yield name, partial(one_to_one.measure, name, sizes, record)
    yield "encode, decode, validate", partial(codec_alone.measure, sizes, record)
    yield "blocking sockets", partial(floor_asks.measure, sizes, record)
    for name in (systems.OURS, systems.NATS):
        yield f"fan-out, {name}", partial(fan_out.measure, name, sizes, record)
