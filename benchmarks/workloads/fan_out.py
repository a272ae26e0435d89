"""One publisher, many subscribers in five processes: deliveries a second."""

from benchmarks.figures import Record
from benchmarks.processes import workers
from benchmarks.systems import system
from benchmarks.workloads.sizes import Sizes

_PROCESSES = 5
_EVENTS = 2_500


def measure(name: str, sizes: Sizes, record: Record) -> None:
    """Publish to all, and wait until the last subscriber has handled the last."""
    count, each = sizes.times(_EVENTS), sizes.listeners // _PROCESSES
    with system(name).server() as server:
        listening = [(name, "handler", server.url, str(each), "")] * _PROCESSES
        with workers(*listening) as handlers, workers((name, "caller", server.url)) as (caller,):
            for warm_up, amount in ((True, count // 10), (False, count)):
                for handler in handlers:
                    handler.do(expect=amount * each)
                began = caller.do(do="publish", count=amount)["began"]
                last = max(handler.answer()["last"] for handler in handlers)
                if not warm_up:
                    record.add(name, **{"deliveries/s": amount * sizes.listeners / (last - began)})
