"""``cqrsbus sub``: print events as they come."""

import sys
from functools import partial
from typing import Annotated

import typer
from anyio.to_thread import run_sync

from cqrsbus.bus.bus import Bus
from cqrsbus.cli import options
from cqrsbus.cli.client import with_bus
from cqrsbus.cli.failures import reporting
from cqrsbus.cli.logs import set_up_logging
from cqrsbus.cli.output import print_event
from cqrsbus.cli.running import Stop
from cqrsbus.cli.settings import load_settings
from cqrsbus.topics import validate_pattern


def sub(
    pattern: Annotated[
        str,
        typer.Argument(metavar="PATTERN", help="What to listen to: '*' is one word of a topic, '>' all that follow."),
    ],
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, metavar="N", help="End after N events. (default: never)")
    ] = None,
    group: Annotated[
        str, typer.Option("--group", metavar="NAME", help="Share the events with the others of this group.")
    ] = "",
    broker: options.Broker = None,
    timeout: options.Timeout = None,
    connect_timeout: options.ConnectTimeout = None,
    backend: options.OnBackend = None,
    config: options.Config = None,
    log_level: options.WithLogLevel = None,
    log_format: options.WithLogFormat = None,
    as_json: options.AsJson = False,
) -> None:
    """Print the events of a pattern as they come: time, topic, sender, message. Ends by ctrl-C.

    Bytes are printed as base64. 'subscribed to PATTERN' on stderr says when it listens.
    """
    with reporting(as_json=as_json):
        settings = load_settings(
            config,
            url=broker,
            timeout=timeout,
            connect_timeout=connect_timeout,
            backend=backend,
            log_level=log_level,
            log_format=log_format,
        )
        set_up_logging(settings, default="warning")
        validate_pattern(pattern)

        async def listen(bus: Bus, stop: Stop) -> None:
            left = count
            async with bus.subscribe(pattern, group=group, timeout=settings.timeout) as events:
                sys.stderr.write(f"subscribed to {pattern}\n")
                sys.stderr.flush()
                with stop.only_here():
                    async for message, context in events.items():
                        # A reader that has stopped reading must not stop our heartbeat.
                        await run_sync(partial(print_event, message, context, as_json=as_json), abandon_on_cancel=True)
                        left = None if left is None else left - 1
                        if left == 0:
                            return

        with_bus(settings, listen)
