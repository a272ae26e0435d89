"""``cqrsbus bench``: how fast a broker is, seen from here."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from cqrsbus.bus.bus import Bus
from cqrsbus.cli import options
from cqrsbus.cli.failures import CommandError, UsageError, interrupted, reporting
from cqrsbus.cli.histogram import PERCENTILES
from cqrsbus.cli.load import LEAST_SIZE, Load, Progress, Run, Verb
from cqrsbus.cli.logs import set_up_logging
from cqrsbus.cli.output import print_line, to_json
from cqrsbus.cli.running import Stop, run
from cqrsbus.cli.settings import Settings, load_settings
from cqrsbus.transports import parse_url

_COUNT = 20_000
_BAR = 40


def bench(
    verb: Annotated[Verb, typer.Argument(help="What to do with each message.")] = "publish",
    size: Annotated[int, typer.Option("--size", min=LEAST_SIZE, metavar="BYTES", help="Size of a message.")] = 128,
    publishers: Annotated[
        int, typer.Option("--publishers", "-p", min=1, max=500, metavar="N", help="Connections that send.")
    ] = 1,
    subscribers: Annotated[
        int,
        typer.Option(
            "--subscribers", "-s", min=1, max=500, metavar="N", help="Connections that listen; each gets every event."
        ),
    ] = 1,
    window: Annotated[
        int, typer.Option("--window", "-w", min=1, max=1000, metavar="N", help="Messages in flight per publisher.")
    ] = 64,
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, metavar="N", help=f"Messages in all. (default: {_COUNT})")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0.01, metavar="SECONDS", help="Go on for so long instead.")
    ] = None,
    broker: options.Broker = None,
    timeout: options.Timeout = None,
    connect_timeout: options.ConnectTimeout = None,
    backend: options.OnBackend = None,
    config: options.Config = None,
    log_level: options.WithLogLevel = None,
    log_format: options.WithLogFormat = None,
    as_json: options.AsJson = False,
) -> None:
    """Measure a broker: messages a second, and how long each takes.

    Both ends are in this one process, so often it is the limit. The topic is a random one: nobody else
    gets the messages.
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
        _check(settings)
        if seconds is None and count is None:
            count = _COUNT
        load = Load(verb, size, publishers, subscribers, window, count, seconds, settings.timeout)
        progress, signal = _run(load, settings)
        if signal is not None:
            raise signal
        found = _result(load, progress)
        if as_json:
            print_line(to_json(found))
        else:
            _print(found, progress)
        if found["lost"]:
            raise CommandError(f"{found['lost']} events did not arrive within {settings.timeout:g} s")


def _check(settings: Settings) -> None:
    try:
        address = parse_url(settings.url)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if address.scheme == "memory":
        raise UsageError(f"{settings.url} is inside one process: give the URL of a broker, such as tcp://HOST:PORT")


def _run(load: Load, settings: Settings) -> tuple[Progress, typer.Exit | None]:
    def make_bus(name: str) -> Bus:
        return Bus(name, settings.url, connect_timeout=settings.connect_timeout)

    with _shown(load) as tell:
        progress = Progress(tell)

        async def work(_: Stop) -> None:
            await Run(load, make_bus, progress).go()

        signal = run(settings.backend, work)
    return progress, None if signal is None else interrupted(signal)


@contextmanager
def _shown(load: Load) -> Generator[Callable[[], object]]:
    """A bar on stderr, if somebody looks."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    total = None if load.count is None else load.count * (load.subscribers if load.verb == "publish" else 1)
    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(load.verb, total=total)
        yield lambda: bar.advance(task)


def _result(load: Load, progress: Progress) -> dict[str, Any]:
    done, latencies = progress.latencies.count, progress.latencies
    expected = progress.sent * (load.subscribers if load.verb == "publish" else 1)
    return {
        "verb": load.verb,
        "size": load.size,
        "publishers": load.publishers,
        "subscribers": load.subscribers,
        "window": load.window,
        "messages": progress.sent,
        "done": done,
        "lost": expected - done,
        "seconds": round(progress.seconds, 6),
        "per_second": round(done / progress.seconds, 1),
        "bytes_per_second": round(done * load.size / progress.seconds),
        "latency_us": {
            **{name: round(latencies.percentile(share) * 1e6, 1) for name, share in PERCENTILES.items()},
            "max": round(latencies.most * 1e6, 1),
        },
    }


def _print(found: dict[str, Any], progress: Progress) -> None:
    what = {"publish": "deliveries", "send": "confirmed sends", "ask": "answers"}[found["verb"]]
    print_line(f"{found['done']:,} {what} of {found['size']} bytes in {found['seconds']:.2f} s")
    print_line(f"{found['per_second']:,.0f} per second, {found['bytes_per_second'] / 1e6:,.1f} MB/s")
    print_line("")
    for name, value in found["latency_us"].items():
        print_line(f"{name:>6}  {value:>12,.1f} µs")
    print_line("")
    rows = list(progress.latencies.rows())
    most = max((row.many for row in rows), default=1)
    mark = "█" if (sys.stdout.encoding or "").lower().startswith("utf") else "#"
    for row in rows:
        print_line(f"< {_time(row.below):>8}  {row.many:>10,}  {mark * round(row.many / most * _BAR)}".rstrip())


def _time(seconds: float) -> str:
    unit, factor = ("s", 1.0) if seconds >= 1 else ("ms", 1e3) if seconds >= 1e-3 else ("µs", 1e6)
    return f"{seconds * factor:.3g} {unit}"
