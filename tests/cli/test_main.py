import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cqrsbus.cli.about import about
from tests.cli.terminal import RunCommand

COMMANDS = ("broker", "run", "send", "ask", "publish", "sub")


@pytest.mark.parametrize("arguments", [("--version",), ("--version", "broker")])
def test_version(arguments: tuple[str, ...], call: RunCommand) -> None:
    assert call(*arguments) == (0, about(), "")


def test_version_needs_nothing_of_the_extra() -> None:
    code = (
        "import sys; sys.argv = ['cqrsbus', '--version']; from cqrsbus.cli.main import main; main()\n"
        "assert not {'typer', 'rich', 'pydantic_settings', 'watchfiles'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30, cwd=Path(__file__).parents[2])


def test_help_names_every_command(call: RunCommand) -> None:
    code, out, _ = call("--help")
    assert code == 0
    assert all(f" {command} " in out for command in COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("broker", "--nonsense"), ("ask",), ("broker", "--max-frame", "many"), ("run", "a:b", "-w", "0")],
)
def test_wrong_use_is_2(arguments: tuple[str, ...], invoke: RunCommand) -> None:
    code, out, err = invoke(*arguments)
    assert (code, out) == (2, "")
    assert "Error" in err


def test_wrong_use_is_told_as_json_too(call: RunCommand) -> None:
    code, out, err = call("ask", "--json", "--nonsense")
    assert (code, out) == (2, "")
    told = json.loads(err)
    assert (told["error"], told["exit_code"]) == ("UsageError", 2)
    assert "--nonsense" in told["message"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_tells_the_defaults(command: str, invoke: RunCommand) -> None:
    code, out, _ = invoke(command, "--help", env={"COLUMNS": "200"})
    assert code == 0
    assert "(default: asyncio)" in out
    assert "(default: $CQRSBUS_CONFIG, or cqrsbus.toml if it is here)" in out


@pytest.mark.parametrize("missing", ["typer", "pydantic_settings", "watchfiles"])
def test_without_the_extra_there_is_one_clear_line(missing: str, tmp_path: Path, call: RunCommand) -> None:
    # A module that fails to import as if it were not installed.
    raising = f"raise ModuleNotFoundError(\"No module named '{missing}'\", name='{missing}')"
    (tmp_path / f"{missing}.py").write_text(raising)
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    code, out, err = call("run", "app:bus", env={"PYTHONPATH": path})
    assert (code, out) == (1, "")
    assert err == f"error: the command line needs {missing}: pip install 'cqrsbus[cli]'"
