import inspect
import subprocess
import sys
from importlib import import_module

import pytest

from cqrsbus.cli.commands import COMMANDS
from tests.cli.terminal import RunCommand


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_help_of_the_command_begins_with(name: str, invoke: RunCommand) -> None:
    module, summary = COMMANDS[name]
    described = inspect.getdoc(getattr(import_module(module), name))
    assert described is not None
    assert " ".join(described.partition("\n\n")[0].split()) == summary
    code, listed, _ = invoke("--help", env={"COLUMNS": "200"})
    assert code == 0
    assert f" {name} " in listed
    assert summary in listed
    code, told, _ = invoke(name, "--help", env={"COLUMNS": "200"})
    assert code == 0
    assert f"Usage: cqrsbus {name} [OPTIONS]" in told
    assert summary in told


def test_a_misspelt_command_is_told_with_the_right_one(invoke: RunCommand) -> None:
    code, out, err = invoke("brokr")
    assert (code, out) == (2, "")
    assert "No such command 'brokr'. Did you mean 'broker'?" in err


def imported_by(*arguments: str) -> set[str]:
    program = (
        f"import sys; sys.argv = ['cqrsbus', *{arguments!r}]; from cqrsbus.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as ended: assert not ended.code\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", program]
    return set(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stderr.split())


@pytest.mark.parametrize("arguments", [("--help",), ("-h",)])
def test_the_list_of_commands_imports_none_of_them(arguments: tuple[str, ...]) -> None:
    imported = imported_by(*arguments)
    assert {"typer", "cqrsbus.cli.commands"} <= imported
    assert not {"pydantic", "pydantic_settings", "anyio", "cqrsbus.bus", "cqrsbus.broker"} & imported
    assert not {module for module, _ in COMMANDS.values()} & imported


def test_a_command_imports_no_other() -> None:
    modules = {module for module, _ in COMMANDS.values()}
    assert modules & imported_by("ask", "--help") == {"cqrsbus.cli.calls"}
