"""Where the time of a message goes: ``python -m benchmarks.breakdown [--docs]``.

Each of the three processes notes, while it carries events, which function runs; the CPU time that the kernel says it
has used is shared out by that. The broker is the same program, started with the same eye on it.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from benchmarks.processes import Worker, workers
from benchmarks.report import Grid, replace_between
from benchmarks.systems import OURS
from benchmarks.systems.port import Server
from benchmarks.workloads.one_to_one import events

_EVENTS = 150_000
#: Which stage a file belongs to; the first that its path contains.
_STAGES: tuple[tuple[str, str], ...] = (
    ("cqrsbus/bus/codec", "encode, decode, validate"),
    ("cqrsbus/bus/plain", "encode, decode, validate"),
    ("cqrsbus/bus/types", "encode, decode, validate"),
    ("cqrsbus/bus/bounds", "encode, decode, validate"),
    ("cqrsbus/bus/fast_msgpack", "encode, decode, validate"),
    ("/pydantic/", "encode, decode, validate"),
    ("/msgpack/", "encode, decode, validate"),
    ("cqrsbus/transports", "sockets, system calls included"),
    ("/socket.py", "sockets, system calls included"),
    ("cqrsbus/wire", "frames: head and header"),
    ("cqrsbus/routing", "routing"),
    ("cqrsbus/broker", "broker: session"),
    ("cqrsbus/links", "link: connection and flow control"),
    ("cqrsbus/bus", "bus: call, dispatch, context"),
    ("/anyio/", "event loop"),
    ("/asyncio/", "event loop"),
    ("/trio/", "event loop"),
    ("benchmarks/", "the benchmark itself"),
)
_ROLES = ("publisher", "server", "handler")


def stage(place: str) -> str:
    """What a place in the code does for a message."""
    return next((name for part, name in _STAGES if part in place), "other: the interpreter, the event loop's C code")


def shares(seen: Mapping[str, int], cost: float) -> dict[str, float]:
    """A process's cost by stage, in µs.

    Args:
        seen: How often it was seen at which place.
        cost: Its CPU µs per message.
    """
    whole, by_stage = sum(seen.values()), defaultdict[str, float](float)
    for place, count in seen.items():
        by_stage[stage(place)] += count * cost / whole
    return by_stage


def measure() -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Carry events and watch all three; returns the costs, and their parts."""
    with (
        workers(("uvloop",), module="benchmarks.watched_broker") as (broker,),
        workers((OURS, "handler", url := broker.do(tell="url")["url"], "1", "")) as (handler,),
        workers((OURS, "caller", url)) as (caller,),
    ):
        server = Server(url, broker.pid)
        events(server, handler, caller, _EVENTS // 10)
        watched: dict[str, Worker] = {"publisher": caller, "server": broker, "handler": handler}
        for worker in watched.values():
            worker.do(sample=True)
        cost = events(server, handler, caller, _EVENTS)
        return cost, {role: shares(worker.do(sample=False), cost[f"CPU µs {role}"]) for role, worker in watched.items()}


def grid(cost: Mapping[str, float], parts: Mapping[str, dict[str, float]]) -> Grid:
    """CPU µs per event, by stage and process."""
    stages = sorted({name for part in parts.values() for name in part}, key=lambda name: -_sum(parts, name))
    rows = [(name, *(_text(parts[role].get(name, 0)) for role in _ROLES), _text(_sum(parts, name))) for name in stages]
    whole = ("together", *(_text(cost[f"CPU µs {role}"]) for role in _ROLES), _text(cost["CPU µs"]))
    return Grid("CPU µs per event", ("", "publisher", "broker", "handler", "together"), [*rows, whole])


def _sum(parts: Mapping[str, dict[str, float]], name: str) -> float:
    return sum(part.get(name, 0) for part in parts.values())


def _text(value: float) -> str:
    return f"{value:.2f}" if value else ""


def main() -> None:
    """Measure, tell, and with ``--docs`` write it down."""
    cost, parts = measure()
    table = grid(cost, parts)
    Console().print(table.for_terminal())
    if "--docs" in sys.argv:
        replace_between(Path(__file__).parents[1] / "docs" / "performance.md", "breakdown", table.as_markdown())


if __name__ == "__main__":
    main()
