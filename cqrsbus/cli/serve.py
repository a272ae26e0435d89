"""``cqrsbus run``: serve the handlers of a bus, in this process or in several that are looked after."""

import logging
import os
import sys
from typing import Annotated

import typer

from cqrsbus.cli import options
from cqrsbus.cli.failures import UsageError, reporting
from cqrsbus.cli.loading import load_bus
from cqrsbus.cli.logs import set_up_logging
from cqrsbus.cli.running import Stop, entered
from cqrsbus.cli.running import run as run_on
from cqrsbus.cli.settings import PREFIX, Settings, load_settings
from cqrsbus.cli.supervisor import Supervisor, end_with_supervisor
from cqrsbus.transports import parse_url

log = logging.getLogger("cqrsbus.cli")


def run(
    target: Annotated[str, typer.Argument(metavar="MODULE:BUS", help="The bus to serve, for instance mailer.app:bus.")],
    broker: options.Broker = None,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, metavar="N", help="Processes to serve in.")] = 1,
    reload: Annotated[
        bool, typer.Option("--reload", help="Start again when a *.py file below this directory changes.")
    ] = False,
    backend: options.OnBackend = None,
    config: options.Config = None,
    log_level: options.WithLogLevel = None,
    log_format: options.WithLogFormat = None,
    as_json: options.AsJson = False,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
) -> None:
    """Serve the handlers of a bus until ctrl-C or SIGTERM, then finish what was started."""
    with reporting(as_json=as_json):
        settings = load_settings(config, url=broker, backend=backend, log_level=log_level, log_format=log_format)
        set_up_logging(settings, default="info", application=True)
        try:
            parse_url(settings.url)
        except ValueError as error:
            raise UsageError(str(error)) from None
        if supervised:
            end_with_supervisor()
        if supervised or (workers == 1 and not reload):
            _serve(target, settings, url=broker)
            return
        command = [sys.executable, "-m", "cqrsbus", "run", "--supervised", *sys.argv[sys.argv.index("run") + 1 :]]
        run_on("asyncio", Supervisor(command, workers=workers, reload=reload).run)


def _serve(target: str, settings: Settings, *, url: str | None) -> None:
    # For a bus whose code names no broker.
    os.environ[f"{PREFIX}URL"] = settings.url
    bus = load_bus(target)
    if url is not None:
        bus.url = url

    async def serve(stop: Stop) -> None:
        async with entered(bus):
            log.info("serving %s on %s", bus.name, bus.url)
            await stop.wait()

    run_on(settings.backend, serve)
