"""The options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from cqrsbus.cli.settings import Backend, LogFormat, LogLevel

Topic: TypeAlias = Annotated[str, typer.Argument(metavar="TOPIC", help="Where to, for instance event.email.new.")]
Message: TypeAlias = Annotated[
    str | None, typer.Argument(metavar="JSON", help="The message as JSON; '-' or nothing reads it from stdin.")
]
Broker: TypeAlias = Annotated[
    str | None,
    typer.Option("--broker", "-b", metavar="URL", help="Where the broker is. (default: tcp://127.0.0.1:9100)"),
]
Timeout: TypeAlias = Annotated[
    float | None, typer.Option("--timeout", "-t", metavar="SECONDS", help="How long it may take. (default: 3)")
]
ConnectTimeout: TypeAlias = Annotated[
    float | None,
    typer.Option("--connect-timeout", metavar="SECONDS", help="How long connecting may take. (default: 3)"),
]
Headers: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--header", "-H", metavar="KEY=VALUE", help="A header for the handler; may be repeated."),
]
AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Write one JSON object per line, also for an error (on stderr).")
]
Config: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Settings as TOML. (default: $CQRSBUS_CONFIG, or cqrsbus.toml if it is here)",
    ),
]
OnBackend: TypeAlias = Annotated[
    Backend | None, typer.Option("--backend", help="The event loop to run on. (default: asyncio)")
]
WithLogLevel: TypeAlias = Annotated[
    LogLevel | None,
    typer.Option("--log-level", help="What to log on stderr. (default: info for broker and run, else warning)"),
]
WithLogFormat: TypeAlias = Annotated[LogFormat | None, typer.Option("--log-format", help="How to log. (default: text)")]
