"""A subscriber that has stopped reading: how much the broker's memory grows while others go on publishing."""

import os
import signal

from benchmarks.figures import Record
from benchmarks.processes import resident_bytes, workers
from benchmarks.systems import OURS, system
from benchmarks.workloads.sizes import Sizes

CAP_MIB = 8
_EVENTS = 100_000


def measure(sizes: Sizes, record: Record) -> None:
    """Publish several times what the broker may keep for one client."""
    count = sizes.times(_EVENTS)
    with (
        system(OURS, "--max-outbox", str(CAP_MIB * 1024 * 1024)).server() as server,
        workers((OURS, "handler", server.url, "1", ""), (OURS, "handler", server.url, "1", "")) as (healthy, stopped),
        workers((OURS, "caller", server.url)) as (caller,),
    ):
        healthy.do(expect=count // 10)
        caller.do(do="publish", count=count // 10)
        healthy.answer()
        os.kill(stopped.pid, signal.SIGSTOP)
        try:
            before = resident_bytes(server.pid)
            healthy.do(expect=count)
            caller.do(do="publish", count=count)
            healthy.answer()
            record.add("stopped subscriber", MiB=(resident_bytes(server.pid) - before) / 2**20)
        finally:
            os.kill(stopped.pid, signal.SIGCONT)
