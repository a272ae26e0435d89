"""What a byte costs the broker in messages of several sizes, against a relay that copies each once."""

import socket
import sys
from threading import Thread

import anyio
from anyio.lowlevel import checkpoint

from benchmarks.figures import Record
from benchmarks.processes import cpu_seconds, server
from benchmarks.systems import OURS, system
from benchmarks.workloads.sizes import Sizes
from cqrsbus import Bus

SIZES = {"1 KiB": 1024, "64 KiB": 64 * 1024, "1 MiB": 1024 * 1024}
RELAY = "relay of bytes"
_BROKER_MIB = {"1 KiB": 24, "64 KiB": 192, "1 MiB": 192}
_RELAY_MIB = {"1 KiB": 192, "64 KiB": 512, "1 MiB": 512}


def measure(sizes: Sizes, record: Record) -> None:
    """Carry as many bytes as it takes, in messages of each size; the relay and the broker in turn, more than once."""
    for name, size in [*SIZES.items()] * max(1, sizes.rounds // 2):
        relayed, carried = (int(max(8, mib[name] * sizes.factor) * 2**20) for mib in (_RELAY_MIB, _BROKER_MIB))
        figure = f"ns per byte, {name}"
        record.add(RELAY, **{figure: _through_relay(size, relayed)})
        record.add(OURS, **{figure: _through_broker(size, carried)})


def _through_broker(size: int, whole: int) -> float:
    with system(OURS, "--max-frame", str(4 * 2**20)).server() as running:
        anyio.run(_carry, running.url, size, 4, backend_options={"use_uvloop": True})
        before = cpu_seconds(running.pid)
        anyio.run(_carry, running.url, size, whole // size, backend_options={"use_uvloop": True})
        return (cpu_seconds(running.pid) - before) / whole * 1e9


async def _carry(url: str, size: int, count: int) -> None:
    body, received, done = bytes(size), 0, anyio.Event()
    listener = Bus("listener", url)

    @listener.event_handler("bench.bytes")
    async def take(message: bytes) -> None:
        nonlocal received
        received += 1
        if received == count:
            done.set()

    async with listener, Bus("publisher", url) as publisher:
        for number in range(count):
            await publisher.publish("bench.bytes", body, timeout=None)
            if number % 64 == 0:
                await checkpoint()
        with anyio.fail_after(60):
            await done.wait()


def _through_relay(size: int, whole: int) -> float:
    command = (sys.executable, "-m", "benchmarks.systems.bytes_relay")
    with server(command, until="ready") as (process, line):
        address = ("127.0.0.1", int(line.split()[-1]))
        with socket.create_connection(address) as drain, socket.create_connection(address) as source:
            before = cpu_seconds(process.pid)
            feeding = Thread(target=_feed, args=(source, bytes(size), whole // size))
            feeding.start()
            _read(drain, whole // size * size)
            feeding.join()
            return (cpu_seconds(process.pid) - before) / whole * 1e9


def _feed(source: socket.socket, body: bytes, count: int) -> None:
    for _ in range(count):
        source.sendall(body)


def _read(drain: socket.socket, expected: int) -> None:
    drain.settimeout(60)
    buffer = bytearray(1024 * 1024)
    while expected > 0:
        expected -= drain.recv_into(buffer)
