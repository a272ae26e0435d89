"""What a message costs the broker while others are connected and subscribed, and the memory of an idle connection."""

from collections.abc import Generator
from contextlib import contextmanager

from benchmarks.figures import Record
from benchmarks.processes import resident_bytes, workers
from benchmarks.systems import NATS, OURS, system
from benchmarks.workloads.one_to_one import events
from benchmarks.workloads.sizes import Sizes
from benchmarks.workloads.turns import Burst, Contender, take_turns

_EVENTS = 15_000
_TURNS = 32
_PER_CONNECTION = 1_000
_CROWD = "benchmarks.crowd"
_OPTIONS = ("--max-connections", "2000")


def subscriptions(sizes: Sizes, record: Record) -> None:
    """The cost of a message beside ever more subscriptions that it does not match."""
    for count in sizes.other_subscriptions:
        connections = -(-count // _PER_CONNECTION)
        _compare(f"{count:,} subscriptions", connections, count // connections, 2, sizes, record)


def connections(sizes: Sizes, record: Record) -> None:
    """The cost of a message beside many connections that do nothing."""
    _compare(f"{sizes.idle_connections:,} connections", sizes.idle_connections, 0, 4, sizes, record)


def _compare(crowd: str, connections: int, subscriptions: int, pairs: int, sizes: Sizes, record: Record) -> None:
    """The cost to a broker beside a crowd, and to one without, in turn.

    It depends on how much of what is published comes together, which is chance. So of each burst it is compared; and
    of several pairs of brokers, since chance differs from pair to pair more than from burst to burst.
    """
    for _ in range(min(pairs, sizes.rounds)):
        with (
            _broker(f"beside {crowd}", sizes) as (url, beside),
            _broker(f"without {crowd}", sizes) as (_, without),
            workers(("ours", url, str(connections), str(subscriptions)), module=_CROWD),
        ):
            for _ in range(_TURNS // pairs // 2):
                for order in ([beside, without], [without, beside]):
                    take_turns(order, ["events"], record, bursts=1)


@contextmanager
def _broker(name: str, sizes: Sizes) -> Generator[tuple[str, Contender]]:
    """A broker of its own, and what tells the CPU µs that a message costs it."""
    count = sizes.times(_EVENTS)
    with (
        system(OURS, *_OPTIONS).server() as server,
        workers(("ours", server.url, "1", "1"), module=_CROWD),
        workers((OURS, "handler", server.url), (OURS, "caller", server.url)) as (handler, caller),
    ):

        def carry() -> Burst:
            return Burst({"CPU µs server": events(server, handler, caller, count)["CPU µs server"]})

        carry()
        yield server.url, Contender(name, {"events": carry})


def memory(sizes: Sizes, record: Record) -> None:
    """The memory that the server takes for each connection that does nothing, ours and nats-server's."""
    many = sizes.idle_connections
    for name, crowd, options in ((OURS, "ours", _OPTIONS), (NATS, "nats", ())):
        with system(name, *options).server() as server, workers((crowd, server.url, "10", "0"), module=_CROWD):
            before = resident_bytes(server.pid)
            with workers((crowd, server.url, str(many), "0"), module=_CROWD):
                record.add(name, **{"KiB per idle connection": (resident_bytes(server.pid) - before) / many / 1024})
