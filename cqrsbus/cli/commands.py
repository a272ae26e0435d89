"""Which commands there are; what a command needs is imported when it is called, and not for the list of all."""

from importlib import import_module
from typing import Any, Final

import typer
import typer.main
from typer.core import TyperGroup

#: Where each is, by its own name, and what the list says of it: how its own help begins.
COMMANDS: Final = {
    "broker": (
        "cqrsbus.cli.broker",
        "Run a broker; prints 'listening on URL' once it accepts. Ends by ctrl-C or SIGTERM.",
    ),
    "run": ("cqrsbus.cli.serve", "Serve the handlers of a bus until ctrl-C or SIGTERM, then finish what was started."),
    "check": ("cqrsbus.cli.check", "Check that buses fit together: no broker and no running service is needed."),
    "send": ("cqrsbus.cli.calls", "Send a command to the service that owns its topic."),
    "ask": ("cqrsbus.cli.calls", "Ask a query and print the answer as JSON; bytes in it are printed as base64."),
    "publish": ("cqrsbus.cli.calls", "Publish an event to everybody who listens."),
    "sub": (
        "cqrsbus.cli.sub",
        "Print the events of a pattern as they come: time, topic, sender, message. Ends by ctrl-C.",
    ),
    "bench": ("cqrsbus.cli.bench", "Measure a broker: messages a second, and how long each takes."),
}


class Commands(TyperGroup):
    """A group that knows its commands by name, and imports the one that is called."""

    # The framework's own types of what it hands around are not public.
    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """See the base class; what it found is known by name only."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed if name is None else _load(name), rest


def list_in(app: typer.Typer) -> None:
    """Put every command into the list of an application whose group is :class:`Commands`."""
    for name, (_, summary) in COMMANDS.items():
        app.command(name, help=summary)(_only_listed)


def _only_listed() -> None:
    raise AssertionError("the command itself is called")


def _load(name: str) -> Any:
    module, _ = COMMANDS[name]
    alone = typer.Typer(add_completion=False)
    alone.command(name)(getattr(import_module(module), name))
    return typer.main.get_command(alone)
