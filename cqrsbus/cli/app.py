"""The application, and what holds for all of its commands."""

import sys
from typing import Annotated, NoReturn

import typer

from cqrsbus.cli.about import about
from cqrsbus.cli.commands import Commands, list_in
from cqrsbus.cli.failures import ExitCode, UsageError, reporting

app = typer.Typer(
    cls=Commands,
    help="Commands, queries and events between processes.",
    epilog="Settings may also be given as CQRSBUS_* variables and in cqrsbus.toml. Exit codes: 0 done, 1 failed, "
    "2 used wrongly, 3 the remote handler failed or was lost, 4 no broker reached, 5 no answer in time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(about())
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Commands, queries and events between processes."""


list_in(app)


def run_app() -> NoReturn:
    """Run the command that the arguments name; ends the process."""
    as_json = "--json" in sys.argv[1:]
    try:
        with reporting(as_json=as_json):
            sys.exit(_invoke(standalone=not as_json))
    except typer.Exit as ended:
        sys.exit(ended.exit_code)


def _invoke(*, standalone: bool) -> int:
    # On its own the framework tells of wrong options in prose; a program is told as of any other failure.
    try:
        code: object = app(prog_name="cqrsbus", standalone_mode=standalone)
    except typer.TyperException as error:
        raise UsageError(error.format_message()) from None
    return code if isinstance(code, int) else ExitCode.OK
