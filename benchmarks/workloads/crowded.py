"""What a message costs the broker while others are connected and subscribed, and the memory of an idle connection."""

from benchmarks.figures import Record
from benchmarks.processes import cpu_seconds, resident_bytes, workers
from benchmarks.systems import NATS, OURS, system
from benchmarks.workloads.sizes import Sizes

_EVENTS = 150_000
_PER_CONNECTION = 1_000
_CROWD = "benchmarks.crowd"


def subscriptions(sizes: Sizes, record: Record) -> None:
    """The cost of a message beside ever more subscriptions that it does not match."""
    for count in sizes.other_subscriptions:
        connections = -(-count // _PER_CONNECTION)
        _cost(f"beside {count:,} subscriptions", connections, count // connections, sizes, record)


def connections(sizes: Sizes, record: Record) -> None:
    """The cost of a message beside many connections that do nothing."""
    for count in (1, sizes.idle_connections):
        _cost(f"beside {count:,} connections", count, 0, sizes, record)


def _cost(subject: str, connections: int, subscriptions: int, sizes: Sizes, record: Record) -> None:
    count = sizes.times(_EVENTS)
    ours = system(OURS, "--max-connections", "2000")
    with (
        ours.server() as server,
        workers(("ours", server.url, str(connections), str(subscriptions)), module=_CROWD),
        workers((OURS, "handler", server.url), (OURS, "caller", server.url)) as (handler, caller),
    ):
        before = 0.0
        for amount in (count // 10, count):
            handler.do(expect=amount)
            before = cpu_seconds(server.pid)
            caller.do(do="publish", count=amount)
            handler.answer()
        record.add(subject, **{"CPU µs server": (cpu_seconds(server.pid) - before) / count * 1e6})


def memory(sizes: Sizes, record: Record) -> None:
    """The memory that the server takes for each connection that does nothing, ours and nats-server's."""
    many = sizes.idle_connections
    for name, crowd, options in ((OURS, "ours", ("--max-connections", "2000")), (NATS, "nats", ())):
        with system(name, *options).server() as server, workers((crowd, server.url, "10", "0"), module=_CROWD):
            before = resident_bytes(server.pid)
            with workers((crowd, server.url, str(many), "0"), module=_CROWD):
                record.add(name, **{"KiB per idle connection": (resident_bytes(server.pid) - before) / many / 1024})
