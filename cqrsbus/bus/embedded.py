"""How a bus gets its link: by the URL's scheme. The one place in this package that knows the broker.

The broker is imported where a bus has it in its own process: the client of another one does without.
"""

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import TypeAlias

from cqrsbus.links.broker_link import BrokerLink
from cqrsbus.links.channel import Channel, Terms
from cqrsbus.links.port import Link
from cqrsbus.links.socket_channel import open_channel
from cqrsbus.transports import parse_url

OpenChannel: TypeAlias = Callable[[], Awaitable[Channel]]


def prepare(url: str) -> None:
    """Import what :func:`make_link` needs for a URL, while no event loop waits for it."""
    if url.startswith("memory:"):
        for module in ("cqrsbus.broker.embedded", "cqrsbus.links.local_channel"):
            import_module(module)


def make_link(
    url: str, service: str, instance: str, *, around: Callable[[OpenChannel], OpenChannel] | None = None
) -> Link:
    """Make the link to the broker at a URL.

    Args:
        url: ``tcp://HOST:PORT``, ``unix:///PATH``, ``memory:`` (a broker of one's own) or ``memory:NAME`` (shared by
            the buses of this event loop).
        service: Who we are.
        instance: Which of the service's instances.
        around: Put around how connections are made, by tests that want to see or disturb them.

    Raises:
        ValueError: The URL is none of these.
    """
    address = parse_url(url)

    async def open_socket() -> Channel:
        return await open_channel(url, service, instance)

    opener = _local(address.name, service, instance) if address.scheme == "memory" else open_socket
    return BrokerLink(opener if around is None else around(opener), url)


def _local(name: str, service: str, instance: str) -> OpenChannel:
    from cqrsbus.broker import embedded
    from cqrsbus.links.local_channel import LocalChannel

    async def open_local() -> Channel:
        exchange = embedded.join(name)
        limits = exchange.limits
        terms = Terms(
            heartbeat=0,
            max_frame=limits.max_frame,
            max_header=limits.max_header,
            publish_window=limits.routing.publish_window,
            max_open_requests=limits.routing.max_open_requests,
        )
        return LocalChannel(exchange, terms, service, instance, on_close=lambda: embedded.leave(name, exchange))

    return open_local
