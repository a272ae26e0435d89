"""One publisher, one handler, the server between them: how many a second, at what cost, and how long a call takes."""

from benchmarks.figures import Record
from benchmarks.processes import Worker, cpu_seconds, workers
from benchmarks.systems import system
from benchmarks.systems.port import Server
from benchmarks.workloads.sizes import Sizes


def measure(name: str, sizes: Sizes, record: Record) -> None:
    """Measure all that this system can do, once."""
    can = sizes.of(name)
    with (
        system(name).server() as server,
        workers((name, "handler", server.url)) as (handler,),
        workers((name, "caller", server.url)) as (caller,),
    ):
        if can.events:
            _warm_up(handler, caller, can.events // 20)
            record.add(name, **events(server, handler, caller, can.events))
        if can.asks:
            caller.do(do="ask", count=can.asks // 10, in_flight=8)
            record.add(name, **_calls("ask", caller, can.asks, 1, "one at a time"))
            record.add(name, **_calls("ask", caller, can.asks * 4, 128, "128 in flight"))
        if can.sends:
            caller.do(do="send", count=can.sends // 10, in_flight=8)
            record.add(name, **_calls("send", caller, can.sends, 32, "32 in flight"))


def events(server: Server, handler: Worker, caller: Worker, count: int) -> dict[str, float]:
    """Publish so many; returns their rate, and the CPU µs that each has cost in all processes together, and in each."""
    processes = {"server": server.pid, "handler": handler.pid, "publisher": caller.pid}
    handler.do(expect=count)
    before = {role: cpu_seconds(pid) for role, pid in processes.items()}
    began = caller.do(do="publish", count=count)["began"]
    last = handler.answer()["last"]
    cost = {role: (cpu_seconds(pid) - before[role]) / count * 1e6 for role, pid in processes.items()}
    return {
        "events/s": count / (last - began),
        "CPU µs": sum(cost.values()),
        **{f"CPU µs {k}": v for k, v in cost.items()},
    }


def _warm_up(handler: Worker, caller: Worker, count: int) -> None:
    handler.do(expect=count)
    caller.do(do="publish", count=count)
    handler.answer()


def _calls(verb: str, caller: Worker, count: int, in_flight: int, how: str) -> dict[str, float]:
    done = caller.do(do=verb, count=count, in_flight=in_flight)
    named = {f"{verb} {name}, {how}": value * 1e6 for name, value in done.items() if name != "rate"}
    return {f"{verb}s/s, {how}": done["rate"], **named}
