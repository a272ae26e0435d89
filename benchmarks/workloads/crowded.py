"""What a message costs the broker while others are connected and subscribed, and the memory of an idle connection."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from benchmarks.figures import Record
from benchmarks.processes import cpu_seconds, resident_bytes, workers
from benchmarks.systems import NATS, OURS, system
from benchmarks.workloads.sizes import Sizes

_EVENTS = 100_000
_PER_CONNECTION = 1_000
_CROWD = "benchmarks.crowd"
_OPTIONS = ("--max-connections", "2000")

Cost = Callable[[], float]


def subscriptions(sizes: Sizes, record: Record) -> None:
    """The cost of a message beside ever more subscriptions that it does not match."""
    for count in sizes.other_subscriptions:
        connections = -(-count // _PER_CONNECTION)
        _compare(f"{count:,} subscriptions", connections, count // connections, sizes, record)


def connections(sizes: Sizes, record: Record) -> None:
    """The cost of a message beside many connections that do nothing."""
    _compare(f"{sizes.idle_connections:,} connections", sizes.idle_connections, 0, sizes, record)


def _compare(crowd: str, connections: int, subscriptions: int, sizes: Sizes, record: Record) -> None:
    """The cost beside a crowd, and before it came and after it left: one broker, and within a few seconds."""
    with _traffic(sizes) as (url, cost):
        for _ in range(max(1, sizes.rounds // 2)):
            before = cost()
            with workers(("ours", url, str(connections), str(subscriptions)), module=_CROWD):
                record.add(f"beside {crowd}", **{"CPU µs server": cost()})
            record.add(f"without {crowd}", **{"CPU µs server": (before + cost()) / 2})


@contextmanager
def _traffic(sizes: Sizes) -> Generator[tuple[str, Cost]]:
    """A broker, and what tells the CPU µs that a message costs it now."""
    count = sizes.times(_EVENTS)
    with (
        system(OURS, *_OPTIONS).server() as server,
        workers(("ours", server.url, "1", "1"), module=_CROWD),
        workers((OURS, "handler", server.url), (OURS, "caller", server.url)) as (handler, caller),
    ):

        def cost() -> float:
            before = 0.0
            # First a few: who has just come or left is done with by then.
            for amount in (count // 10, count):
                handler.do(expect=amount)
                before = cpu_seconds(server.pid)
                caller.do(do="publish", count=amount)
                handler.answer()
            return (cpu_seconds(server.pid) - before) / count * 1e6

        yield server.url, cost


def memory(sizes: Sizes, record: Record) -> None:
    """The memory that the server takes for each connection that does nothing, ours and nats-server's."""
    many = sizes.idle_connections
    for name, crowd, options in ((OURS, "ours", _OPTIONS), (NATS, "nats", ())):
        with system(name, *options).server() as server, workers((crowd, server.url, "10", "0"), module=_CROWD):
            before = resident_bytes(server.pid)
            with workers((crowd, server.url, str(many), "0"), module=_CROWD):
                record.add(name, **{"KiB per idle connection": (resident_bytes(server.pid) - before) / many / 1024})
