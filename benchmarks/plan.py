"""The order of a run: in each round every system in turn, so that what slows the machine slows all; then the rest.

Within a round those that are compared follow each other: a machine that is shared is faster at one time than at
another.
"""

from collections.abc import Callable, Generator, Sequence
from functools import partial

from benchmarks import systems
from benchmarks.figures import Record
from benchmarks.workloads import codec_alone, crowded, fan_out, floor_asks, large, one_to_one, start_up, stopped
from benchmarks.workloads.sizes import Sizes

#: Ours, and who it is compared with, in this order.
_COMPARED = (systems.OURS, systems.NATS, systems.FASTSTREAM, systems.JETSTREAM)

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
    yield from _one_to_one([systems.TRIO], sizes, record)
    yield "encode, decode, validate", partial(codec_alone.measure, sizes, record)
    yield "blocking sockets", partial(floor_asks.measure, sizes, record)
    yield from _one_to_one(_COMPARED, sizes, record)
    for name in (systems.OURS, systems.NATS):
        yield f"fan-out, {name}", partial(fan_out.measure, name, sizes, record)
    others = [name for name in systems.names() if name not in (systems.TRIO, *_COMPARED)]
    yield from _one_to_one(others, sizes, record)


def _one_to_one(names: Sequence[str], sizes: Sizes, record: Record) -> Generator[Step]:
    for name in names:
        if systems.missing(name) is None:
            yield name, partial(one_to_one.measure, name, sizes, record)
