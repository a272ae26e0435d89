"""Ports that the system gives to no other test meanwhile.

Tests that run side by side are given free ports all the time. One of them may be given the port of a broker that is
down just now; and a port that is free for IPv6 may be somebody's for IPv4.
"""

import socket
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress

LOOPBACK = "127.0.0.1"

#: That a port which is free for one host is taken for another is rare: this often in a row it is no accident.
TRIES = 20


@contextmanager
def held_port(*hosts: str) -> Generator[int]:
    """A port of each of these hosts, 127.0.0.1 if none is named, that can be listened on and is lent to nobody else.

    It is bound by a socket that does not listen. Where the system would then let nobody else listen (all but Linux) it
    is only free at first.
    """
    port, held = _hold(hosts or (LOOPBACK,))
    with held:
        if sys.platform != "linux":
            held.close()
        yield port


def _hold(hosts: tuple[str, ...]) -> tuple[int, ExitStack]:
    for _ in range(TRIES):
        with suppress(OSError), ExitStack() as held:
            port = 0
            for host in hosts:
                sock = held.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if sock.family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind((host, port))
                port = sock.getsockname()[1]
            return port, held.pop_all()
    raise AssertionError(f"no port is free for {' and '.join(hosts)}")
