import sys
from pathlib import Path

import pytest

from cqrsbus import Bus
from cqrsbus.cli.failures import CommandError, UsageError
from cqrsbus.cli.loading import load_bus


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    name = f"loaded_{tmp_path.name}".replace("-", "_")
    source = "from cqrsbus import Bus\nbus = Bus('a')\nspare = Bus('b')\nnumber = 3\nclass box: bus = Bus('c')\n"
    (tmp_path / f"{name}.py").write_text(source)
    return name


def test_the_bus_is_found_in_the_current_directory(module: str) -> None:
    assert isinstance(load_bus(f"{module}:bus"), Bus)
    assert load_bus(f"{module}:box.bus").name == "c"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("{}", r"which bus of {}\? there is {}:bus, {}:spare"),
        ("{}:none", "the module {} has no 'none'; there is {}:bus, {}:spare"),
        ("{}:bus.none", "the module {} has no 'bus.none'"),
        ("{}:number", "{}:number is not a Bus but an int; there is {}:bus, {}:spare"),
        ("{}:", "is not of the form module:bus"),
        (":bus", "is not of the form module:bus"),
        ("no_such_module:bus", "there is no module 'no_such_module', neither installed nor in"),
        ("json.nothing:bus", "there is no module 'json.nothing'"),
        ("json:bus", "there is no Bus in that module"),
    ],
)
def test_a_wrong_target_is_refused_with_what_there_is(target: str, expected: str, module: str) -> None:
    with pytest.raises(UsageError, match=expected.replace("{}", module)):
        load_bus(target.replace("{}", module))


def test_a_module_that_imports_what_is_not_there_is_not_taken_for_missing(tmp_path: Path) -> None:
    (tmp_path / "needs_another.py").write_text("import no_such_module_at_all")
    with pytest.raises(CommandError, match="needs_another cannot be imported: No module named 'no_such_module_at_all'"):
        load_bus("needs_another:bus")


def test_a_module_that_fails_shows_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fails_on_import.py").write_text("number = 1\nnumber / 0\n")
    with pytest.raises(CommandError, match="fails_on_import cannot be imported: ZeroDivisionError: division by zero"):
        load_bus("fails_on_import:bus")
    assert 'fails_on_import.py", line 2' in capsys.readouterr().err
