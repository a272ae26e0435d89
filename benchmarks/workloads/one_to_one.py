"""One publisher, one handler, the server between them: how many a second, at what cost, and how long a call takes."""

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial

from benchmarks.figures import Record
from benchmarks.processes import Worker, cpu_seconds, workers
from benchmarks.systems import OURS, system
from benchmarks.systems.port import Server
from benchmarks.workloads import codec_alone, floor_asks
from benchmarks.workloads.sizes import Sizes
from benchmarks.workloads.turns import BURSTS, Burst, Contender, take_turns

#: In this order; what takes turns is of one kind.
_KINDS = ("events", "asks one at a time", "asks, many in flight", "sends")
#: Ours, when it carries events in turn with their codec alone.
BESIDE_CODEC = "beside its codec"
_STARTS = 4
_TURNS = 10


def compare(names: Sequence[str], sizes: Sizes, record: Record) -> None:
    """Measure all that these systems can do, once: in turn, and in turn with what else they are compared with."""
    with ExitStack() as stack:
        contenders = [stack.enter_context(contender(name, sizes)) for name in names]
        contenders.append(stack.enter_context(floor_asks.contender(sizes)))
        take_turns(contenders, _KINDS, record)


def compare_with_codec(sizes: Sizes, record: Record) -> None:
    """Measure what an event costs us, and what its codec alone does.

    Where others use the other half of a core, the codec alone takes up to 1.7 times as long, and what waits for memory
    more often suffers less. So it is compared burst by burst, with nothing else in between; and with several starts of
    the processes, which differ by how they lie in memory.
    """
    for _ in range(min(_STARTS, sizes.rounds)):
        with contender(OURS, sizes) as ours, codec_alone.contenders(sizes) as alone:
            for _ in range(min(_TURNS, 2 * sizes.rounds)):
                take_turns([replace(ours, name=BESIDE_CODEC), *alone], ["events"], record, bursts=1)


def measure(name: str, sizes: Sizes, record: Record) -> None:
    """Measure all that this system can do, once, by itself."""
    with contender(name, sizes) as alone:
        take_turns([alone], _KINDS, record)


@contextmanager
def contender(name: str, sizes: Sizes) -> Generator[Contender]:
    """This system, warmed up."""
    can = sizes.of(name)
    with (
        system(name).server() as server,
        workers((name, "handler", server.url)) as (handler,),
        workers((name, "caller", server.url)) as (caller,),
    ):
        works = dict[str, Callable[[], Burst]]()
        if can.events:
            _warm_up(handler, caller, can.events // 20)
            works["events"] = lambda: Burst(events(server, handler, caller, can.events // BURSTS))
        if can.asks:
            caller.do(do="ask", count=can.asks // 10, in_flight=8)
            works["asks one at a time"] = partial(_calls, "ask", caller, can.asks // BURSTS, 1, "one at a time")
            works["asks, many in flight"] = partial(_calls, "ask", caller, can.asks * 8 // BURSTS, 128, "128 in flight")
        if can.sends:
            caller.do(do="send", count=can.sends // 10, in_flight=8)
            works["sends"] = partial(_calls, "send", caller, can.sends // BURSTS, 32, "32 in flight")
        yield Contender(name, works)


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


def _calls(verb: str, caller: Worker, count: int, in_flight: int, how: str) -> Burst:
    done = caller.do(do=verb, count=count, in_flight=in_flight)
    return Burst({f"{verb}s/s, {how}": done["rate"]}, {f"{verb} {how}": [1e6 * each for each in done["durations"]]})
