"""The floor: three processes and blocking sockets, which do nothing but pass bytes on.

``python -m benchmarks.systems.floor relay`` is between the two others; ``answerer URL`` sends back what it gets, and
``caller URL`` is a worker. Nothing in Python can be faster from process to process to process, and back.
"""

import json
import socket
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

from benchmarks.message import BODY
from benchmarks.processes import Worker, server, workers

FLOOR = "blocking sockets"
_MODULE = "benchmarks.systems.floor"


@contextmanager
def floor() -> Generator[Worker]:
    """Start all three; yields the caller."""
    with server((sys.executable, "-m", _MODULE, "relay"), until="ready") as (_, line):
        port = line.split()[-1]
        with (
            server((sys.executable, "-m", _MODULE, "answerer", port), until="ready"),
            workers(("caller", port), module=_MODULE) as (caller,),
        ):
            yield caller


def _relay() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print("ready", listener.getsockname()[1], flush=True)
        answerer, caller = listener.accept()[0], listener.accept()[0]
        for each in (answerer, caller):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while request := caller.recv(65536):
            answerer.sendall(request)
            caller.sendall(answerer.recv(65536))


def _connect(port: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print("ready", flush=True)
    return connection


def _answerer(port: str) -> None:
    with _connect(port) as connection:
        while request := connection.recv(65536):
            connection.sendall(request)


def _caller(port: str) -> None:
    with _connect(port) as connection:
        for line in sys.stdin:
            durations = list[float]()
            for _ in range(json.loads(line)["count"]):
                began = time.perf_counter()
                connection.sendall(BODY)
                connection.recv(65536)
                durations.append(time.perf_counter() - began)
            print(json.dumps({"durations": durations}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "relay":
        _relay()
    else:
        {"answerer": _answerer, "caller": _caller}[sys.argv[1]](sys.argv[2])
