"""The tcp transport: ``tcp://HOST:PORT``.

The rules:

- A host name may have several addresses: connecting tries each in turn, listening takes the first that works.
- An address that does not answer, as where a cable is pulled, is given up after some seconds: the system would try for
  minutes, at longer and longer intervals, and the next address, or the next attempt, may do better.
- An IPv6 listener takes IPv6 alone, so ``0.0.0.0`` and ``[::]`` can be listened on side by side.
- Small frames leave at once (TCP_NODELAY); joining writes is the business of whoever has several.
- On one machine a connect to a port where nobody listens may meet itself: the system lends the socket that very
  port, and the two ends of the "connection" are one. A client that tries again and again would then hold the
  broker's port. That counts as refused.
"""

import errno
import os
import socket
import sys
from ipaddress import ip_address
from typing import TypeAlias

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from cqrsbus.errors import ConnectError, ListenError
from cqrsbus.transports.socket_listener import SocketListener
from cqrsbus.transports.socket_stream import SocketStream
from cqrsbus.transports.url import Address, format_url

#: What the socket module takes: (host, port), for IPv6 with flow information and scope.
SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int]

#: Seconds that one address has to answer.
ANSWER_TIMEOUT = 5.0


async def listen(address: Address, *, backlog: int) -> SocketListener:
    """Listen on a tcp address; see `cqrsbus.transports.listen`."""
    url = format_url(address)
    causes: list[str] = []
    for family, where in await _resolve(address, ListenError, f"cannot listen on {url}"):
        try:
            sock = _listening_socket(family, where, backlog)
        except OSError as error:
            causes.append(_cause(where, error))
        else:
            bound = Address("tcp", host=address.host, port=sock.getsockname()[1])
            return SocketListener(sock, format_url(bound), _stream)
    raise ListenError(f"cannot listen on {url}: {'; '.join(causes)}")


async def connect(address: Address) -> SocketStream:
    """Connect to a tcp address; see `cqrsbus.transports.connect`."""
    url = format_url(address)
    if address.port == 0:
        raise ConnectError(f"cannot connect to {url}: port 0 is for listening only")
    causes: list[str] = []
    for family, where in await _resolve(address, ConnectError, f"cannot connect to {url}"):
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
            with anyio.move_on_after(ANSWER_TIMEOUT):
                await dial(sock, where)
                return _stream(sock, where)
        except OSError as error:
            causes.append(_cause(where, error))
        else:
            causes.append(f"{where[0]}: no answer within {ANSWER_TIMEOUT:g} s")
    raise ConnectError(f"cannot connect to {url}: {'; '.join(causes)}")


async def dial(sock: socket.socket, where: SocketAddress) -> None:
    """Connect a socket, closing it if that fails or is cancelled.

    Raises:
        OSError: Nobody accepted.
    """
    try:
        await checkpoint_if_cancelled()
        sock.setblocking(False)
        code = sock.connect_ex(where)
        if code in (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR):
            await anyio.wait_writable(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not code and sock.getsockname() == sock.getpeername():
            code = errno.ECONNREFUSED
        if code:
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise


async def _resolve(address: Address, refusal: type[ConnectError], failing: str) -> list[tuple[int, SocketAddress]]:
    # Looking up a literal address would cost a worker thread for nothing.
    try:
        literal = ip_address(address.host)
    except ValueError:
        literal = None
    if literal is not None and literal.version == 4:
        return [(socket.AF_INET, (address.host, address.port))]
    if literal is not None and "%" not in address.host:
        return [(socket.AF_INET6, (address.host, address.port, 0, 0))]
    try:
        found = await anyio.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise refusal(f"{failing}: {error}") from error
    return list(dict.fromkeys((family, where) for family, _, _, _, where in found))


def _listening_socket(family: int, where: SocketAddress, backlog: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            # There SO_REUSEADDR would let two listeners share a port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _stream(sock: socket.socket, where: SocketAddress) -> SocketStream:
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        # Some systems refuse it where the peer has left already.
        sock.close()
        raise
    return SocketStream(sock, format_url(Address("tcp", host=where[0], port=where[1])))


def _cause(where: SocketAddress, error: OSError) -> str:
    return f"{where[0]}: {error.strerror or error}"
