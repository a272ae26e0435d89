"""The order of a run: in each round every system, so that what slows the machine slows all; then the rest.

Within a round those that are compared run side by side and take turns, a burst at a time: a machine that is shared is
faster at one time than at another. The others, and the fan-out, follow.
"""

from collections.abc import Callable, Generator
from functools import partial

from benchmarks import systems
from benchmarks.figures import Record
from benchmarks.workloads import crowded, fan_out, large, one_to_one, start_up, stopped
from benchmarks.workloads.sizes import Sizes

#: Ours, and who it is compared with.
_COMPARED = (systems.OURS, systems.NATS, systems.FASTSTREAM, systems.JETSTREAM, systems.TRIO)

Step = tuple[str, Callable[[], object]]


def steps(sizes: Sizes, record: Record) -> Generator[Step]:
    """Each step, and what to call for it."""
    for number in range(1, sizes.rounds + 1):
        for name, step in _round(sizes, record):
            yield f"round {number} of {sizes.rounds}: {name}", step
    yield "the codec alone", partial(one_to_one.compare_with_codec, sizes, record)
    yield "import", partial(start_up.measure, sizes, record)
    yield "large messages", partial(large.measure, sizes, record)
    yield "idle connections", partial(crowded.memory, sizes, record)
    yield "beside idle connections", partial(crowded.connections, sizes, record)
    yield "beside other subscriptions", partial(crowded.subscriptions, sizes, record)
    yield "a stopped subscriber", partial(stopped.measure, sizes, record)


def _round(sizes: Sizes, record: Record) -> Generator[Step]:
    there = [name for name in systems.names() if systems.missing(name) is None]
    compared = [name for name in _COMPARED if name in there]
    yield "in turn: " + "; ".join(compared), partial(one_to_one.compare, compared, sizes, record)
    for name in (systems.OURS, systems.NATS):
        yield f"fan-out, {name}", partial(fan_out.measure, name, sizes, record)
    for name in there:
        if name not in compared:
            yield name, partial(one_to_one.measure, name, sizes, record)
