"""Byte streams between processes, by URL: tcp, unix and memory behind one port.

A transport is a module with ``listen`` and ``connect``; this one only chooses among them by the URL's scheme.
"""

import sys
from collections.abc import Mapping
from typing import Protocol

from cqrsbus.errors import ConnectError
from cqrsbus.transports import memory, tcp
from cqrsbus.transports.port import ByteStream, Listener, Sendable
from cqrsbus.transports.url import Address, format_url, is_loopback, parse_url

__all__ = [
    "Address",
    "ByteStream",
    "Listener",
    "Sendable",
    "connect",
    "format_url",
    "is_loopback",
    "listen",
    "parse_url",
]


class _Transport(Protocol):
    async def listen(self, address: Address, *, backlog: int) -> Listener: ...

    async def connect(self, address: Address) -> ByteStream: ...


_TRANSPORTS: dict[str, _Transport] = {"tcp": tcp, "memory": memory}
_OPTIONS: Mapping[str, frozenset[str]] = {"unix": frozenset({"mode"})}

if sys.platform != "win32":
    from cqrsbus.transports import unix

    _TRANSPORTS["unix"] = unix


async def listen(url: str, *, backlog: int = 1024) -> Listener:
    """Start listening on a URL.

    Args:
        url: ``tcp://HOST:PORT`` (port 0: the system chooses), ``unix:///PATH`` or ``memory:NAME``.
        backlog: How many connections may wait to be accepted.

    Raises:
        ConnectError: It cannot be listened on, for instance because a live broker does already.
        ValueError: The URL is not one of these.
    """
    address, transport = _choose(url)
    return await transport.listen(address, backlog=backlog)


async def connect(url: str) -> ByteStream:
    """Connect to a URL; how long that may take is up to the caller's cancel scope.

    Args:
        url: ``tcp://HOST:PORT``, ``unix:///PATH`` or ``memory:NAME``.

    Raises:
        ConnectError: Nobody accepts there; the text names the URL and the cause.
        ValueError: The URL is not one of these.
    """
    address, transport = _choose(url)
    return await transport.connect(address)


def _choose(url: str) -> tuple[Address, _Transport]:
    address = parse_url(url)
    known = _OPTIONS.get(address.scheme, frozenset())
    for option in address.options:
        if option not in known:
            allowed = f"known: {', '.join(sorted(known))}" if known else "it takes none"
            raise ValueError(f"bad URL {url!r}: unknown option {option!r} for {address.scheme} ({allowed})")
    transport = _TRANSPORTS.get(address.scheme)
    if transport is None:
        raise ConnectError(f"{url}: {address.scheme} sockets are not available on this system")
    return address, transport
