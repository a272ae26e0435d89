"""What a byte costs the broker in messages of several sizes, against a relay that copies each once.

The relay stands between the publisher and the broker. So both carry the same bytes, in the same portions and at the
same time, and rest as long between them.
"""

import sys
from collections.abc import Sequence

import anyio
from anyio.lowlevel import checkpoint

from benchmarks.figures import Record
from benchmarks.processes import cpu_seconds, server
from benchmarks.systems import OURS, system
from benchmarks.workloads.sizes import Sizes
from cqrsbus import Bus

SIZES = {"1 KiB": 1024, "64 KiB": 64 * 1024, "1 MiB": 1024 * 1024}
RELAY = "relay of bytes"
_MIB = {"1 KiB": 48, "64 KiB": 192, "1 MiB": 192}


def measure(sizes: Sizes, record: Record) -> None:
    """Carry as many bytes as it takes, in messages of each size, more than once."""
    for name in [*SIZES] * sizes.rounds:
        relay, broker = _per_byte(SIZES[name], int(max(8, _MIB[name] * sizes.factor) * 2**20))
        figure = f"ns per byte, {name}"
        record.add(RELAY, **{figure: relay * 1e9})
        record.add(OURS, **{figure: broker * 1e9})


def _per_byte(size: int, whole: int) -> tuple[float, float]:
    """The CPU seconds that a byte cost the relay, and the broker."""
    with system(OURS, "--max-frame", str(4 * 2**20)).server() as broker:
        command = (sys.executable, "-m", "benchmarks.systems.bytes_relay", broker.url.rsplit(":", 1)[1])
        with server(command, until="ready") as (relay, line):
            carrying = _Carrying(broker.url, f"tcp://127.0.0.1:{line.split()[-1]}", (relay.pid, broker.pid))
            cost = anyio.run(carrying.measure, size, whole // size, backend_options={"use_uvloop": True})
    return cost[0] / whole, cost[1] / whole


class _Carrying:
    """A publisher and a listener.

    Args:
        url: Where the listener finds the broker.
        relayed: Where the publisher does.
        pids: The processes whose cost is of interest.
    """

    def __init__(self, url: str, relayed: str, pids: Sequence[int]) -> None:
        self._listener = Bus("listener", url)
        self._publisher = Bus("publisher", relayed)
        self._pids = pids
        self._expected = 0
        self._done = anyio.Event()

    async def measure(self, size: int, count: int) -> list[float]:
        """Publish so many messages of this size; returns what that cost each process, in CPU seconds."""
        self._listener.event_handler("bench.bytes")(self._take)
        async with self._listener, self._publisher:
            await self._carry(bytes(size), 4)
            before = [cpu_seconds(pid) for pid in self._pids]
            await self._carry(bytes(size), count)
            return [cpu_seconds(pid) - began for pid, began in zip(self._pids, before, strict=True)]

    async def _carry(self, body: bytes, count: int) -> None:
        self._expected, self._done = count, anyio.Event()
        for number in range(count):
            await self._publisher.publish("bench.bytes", body, timeout=None)
            if number % 64 == 0:
                await checkpoint()
        with anyio.fail_after(60):
            await self._done.wait()

    async def _take(self, message: bytes) -> None:
        self._expected -= 1
        if self._expected == 0:
            self._done.set()
