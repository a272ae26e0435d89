"""The bus of a command that only calls: it connects, does one thing, and leaves."""

from collections.abc import Awaitable, Callable
from signal import Signals

from cqrsbus.bus.bus import Bus
from cqrsbus.cli.failures import UsageError
from cqrsbus.cli.running import Stop, entered, run
from cqrsbus.cli.settings import Settings
from cqrsbus.transports import parse_url


def with_bus(settings: Settings, work: Callable[[Bus, Stop], Awaitable[None]]) -> Signals | None:
    """Connect, do the work, and leave; returns the signal that ended it, if one did.

    Args:
        settings: Where the broker is, and how long connecting may take.
        work: What to do with the running bus.

    Raises:
        UsageError: The broker's URL is malformed, or of no use here.
        BusError: The broker was not reached, or what the work raises.
    """
    try:
        address = parse_url(settings.url)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if address.scheme == "memory":
        raise UsageError(f"{settings.url} is inside one process: give the URL of a broker, such as tcp://HOST:PORT")
    # What is typed in is JSON, and handlers read it by JSON's rules: dates and bytes are text.
    bus = Bus(url=settings.url, codec="json", connect_timeout=settings.connect_timeout)

    async def connected(stop: Stop) -> None:
        async with entered(bus):
            await work(bus, stop)

    return run(settings.backend, connected)
