"""``cqrsbus broker``: run a broker until told to stop."""

from typing import Annotated

import typer

from cqrsbus.broker.server import Broker
from cqrsbus.cli import options
from cqrsbus.cli.failures import UsageError, reporting
from cqrsbus.cli.heap import keep_freed
from cqrsbus.cli.logs import set_up_logging
from cqrsbus.cli.output import print_line, to_json
from cqrsbus.cli.running import Stop, entered
from cqrsbus.cli.running import run as run_on
from cqrsbus.cli.settings import Settings, load_settings
from cqrsbus.transports import is_loopback, parse_url

#: Several large messages are under way at the same time.
_FRAMES_KEPT = 4


def broker(
    listen: Annotated[
        list[str] | None,
        typer.Option(
            "--listen",
            "-l",
            metavar="URL",
            help="tcp://HOST:PORT (port 0: any free one) or unix:///PATH; may be repeated. "
            "(default: tcp://127.0.0.1:9100)",
        ),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen also where other machines can reach it, in the clear.")
    ] = False,
    max_connections: Annotated[int | None, typer.Option(metavar="N", help="Clients at a time. (default: 1000)")] = None,
    max_frame: Annotated[
        int | None, typer.Option(metavar="BYTES", help="Size of a message with its head. (default: 1048576)")
    ] = None,
    max_outbox: Annotated[
        int | None,
        typer.Option(metavar="BYTES", help="What may wait for a slow client before it is cut off. (default: 8388608)"),
    ] = None,
    heartbeat: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="A silent client is asked for a sign of life. (default: 5)"),
    ] = None,
    drain_timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="What open requests have to finish when it stops. (default: 10)"),
    ] = None,
    backend: options.OnBackend = None,
    config: options.Config = None,
    log_level: options.WithLogLevel = None,
    log_format: options.WithLogFormat = None,
    as_json: options.AsJson = False,
) -> None:
    """Run a broker; prints 'listening on URL' once it accepts. Ends by ctrl-C or SIGTERM."""
    with reporting(as_json=as_json):
        settings = load_settings(
            config,
            listen=listen or None,
            insecure=insecure or None,
            max_connections=max_connections,
            max_frame=max_frame,
            max_outbox=max_outbox,
            heartbeat=heartbeat,
            drain_timeout=drain_timeout,
            backend=backend,
            log_level=log_level,
            log_format=log_format,
        )
        set_up_logging(settings, default="info")
        the_broker = _make(settings)
        keep_freed(_FRAMES_KEPT * settings.max_frame)

        async def serve(stop: Stop) -> None:
            async with entered(the_broker):
                for url in the_broker.urls:
                    print_line(to_json({"listening": url}) if as_json else f"listening on {url}")
                await stop.wait()

        run_on(settings.backend, serve)


def _make(settings: Settings) -> Broker:
    try:
        for url in settings.listen:
            _check(url, insecure=settings.insecure)
        return Broker(*settings.listen, limits=settings.limits(), insecure=settings.insecure)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _check(url: str, *, insecure: bool) -> None:
    address = parse_url(url)
    if address.scheme == "memory":
        raise UsageError(f"{url} is inside one process: a broker of its own listens on tcp:// or unix://")
    if not is_loopback(address) and not insecure:
        raise UsageError(
            f"{url} can be reached from other machines, but the traffic is neither encrypted nor authenticated: "
            "listen on tcp://127.0.0.1:PORT or unix:///PATH, or add --insecure if the network is trusted"
        )
