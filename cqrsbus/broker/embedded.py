"""Exchanges without sockets: found by name, by the buses of one event loop.

The rules:

1. A name belongs to the running event loop; two loops never meet.
2. The first bus that joins a name brings its exchange into being; it lives until the last one has left.
3. A :class:`~cqrsbus.broker.server.Broker` on ``memory:NAME`` offers its own, for as long as it runs. Buses that
   met there before, or are still there when it stops, are sent away and come back to what is found then.
4. The empty name is shared with nobody.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from anyio.lowlevel import RunVar

from cqrsbus.broker.exchange import Exchange
from cqrsbus.errors import Code, ListenError

_shared: RunVar[dict[str, "_Shared"]] = RunVar("cqrsbus_embedded_exchanges")


@dataclass(slots=True)
class _Shared:
    exchange: Exchange
    offered: bool
    users: int = 0


def join(name: str) -> Exchange:
    """Take part in the exchange of this name, bringing it into being if there is none; then :func:`leave` it."""
    if not name:
        return Exchange()
    names = _names()
    if name not in names:
        names[name] = _Shared(Exchange(), offered=False)
    names[name].users += 1
    return names[name].exchange


def leave(name: str, exchange: Exchange) -> None:
    """Take part no more."""
    names = _names()
    shared = names.get(name)
    if shared is None or shared.exchange is not exchange:
        return
    shared.users -= 1
    if not (shared.users or shared.offered):
        del names[name]


@contextmanager
def offer(name: str, exchange: Exchange) -> Generator[None]:
    """Let buses find a broker's own exchange by this name.

    Raises:
        ListenError: Another broker offers the name on this event loop.
    """
    names = _names()
    former = names.get(name)
    if former is not None and former.offered:
        raise ListenError(f"cannot listen on memory:{name}: a live broker listens there already")
    names[name] = offered = _Shared(exchange, offered=True)
    if former is not None:
        former.exchange.dismiss(Code.SHUTTING_DOWN, "a broker takes over")
    try:
        yield
    finally:
        if names.get(name) is offered:
            del names[name]


def _names() -> dict[str, _Shared]:
    names = _shared.get(None)
    if names is None:
        names = dict[str, _Shared]()
        _shared.set(names)
    return names
