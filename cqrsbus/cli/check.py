"""``cqrsbus check``: whether services fit together, found out from their code alone."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from cqrsbus.bus.bus import Bus
from cqrsbus.bus.checking import check_buses
from cqrsbus.cli import options
from cqrsbus.cli.failures import CommandError, ExitCode, reporting
from cqrsbus.cli.loading import load_bus
from cqrsbus.cli.output import print_line, to_json, visible
from cqrsbus.contracts.judge import Finding
from cqrsbus.errors import InvalidMessageError


def check(
    targets: Annotated[
        list[str], typer.Argument(metavar="MODULE:BUS...", help="The buses, for instance web:bus mail:bus.")
    ],
    as_json: options.AsJson = False,
) -> None:
    """Check that buses fit together: no broker and no running service is needed.

    What a bus requires must be handled by one of them, with types that fit; a command has one owner. Exit code 1 says
    that something does not fit.
    """
    with reporting(as_json=as_json):
        findings = _find([load_bus(target) for target in dict.fromkeys(targets)])
        _print(findings, as_json=as_json)
        if findings:
            raise typer.Exit(ExitCode.FAILED)


def _find(buses: Sequence[Bus]) -> list[Finding]:
    try:
        return check_buses(*buses)
    except InvalidMessageError as error:
        raise CommandError(str(error)) from None


def _print(findings: Sequence[Finding], *, as_json: bool) -> None:
    if as_json:
        for each in findings:
            fields = {"problem": each.problem, "topic": each.topic, "reason": each.reason, "places": each.places}
            print_line(to_json(fields))
    elif findings and sys.stdout.isatty():
        _print_table(findings)
    else:
        for each in findings:
            print_line(f"{each.topic}: {each.problem}: {visible(each.reason)}")
            for place in each.places:
                print_line(f"    {visible(place)}")
    if not as_json:
        sys.stderr.write(f"{_counted(len(findings))}\n")


def _print_table(findings: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("topic", "problem", "what", "where", show_lines=True)
    for each in findings:
        where = "\n".join(map(visible, each.places))
        cells = (each.topic, each.problem.value, visible(each.reason), where)
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    Console(highlight=False).print(table)


def _counted(number: int) -> str:
    return "all fits together" if not number else "1 finding" if number == 1 else f"{number} findings"
