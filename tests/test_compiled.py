"""What is compiled is what pyproject.toml lists, all of it or nothing, and has nothing in it that mypyc gets wrong."""

import ast
import ctypes
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from cqrsbus.cause import caused_by
from cqrsbus.compiled import build_name, is_compiled

ROOT = Path(__file__).parents[1]


def _patterns() -> list[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    include: list[str] = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]["include"]
    return include


FILES = sorted(path.relative_to(ROOT) for pattern in _patterns() for path in ROOT.glob(pattern.removeprefix("/")))


@pytest.mark.parametrize("pattern", _patterns())
def test_there_is_something_to_compile(pattern: str) -> None:
    assert list(ROOT.glob(pattern.removeprefix("/")))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_all_of_it_is_compiled_or_nothing(file: Path) -> None:
    module = import_module(".".join(file.with_suffix("").parts))
    assert module.__file__ is not None
    assert module.__file__.endswith(".py") is not is_compiled()


@pytest.mark.parametrize("file", FILES, ids=str)
def test_no_coroutine_is_compiled(file: Path) -> None:
    nodes = ast.walk(ast.parse((ROOT / file).read_text("utf-8")))
    assert not [node for node in nodes if isinstance(node, ast.AsyncFunctionDef)]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_no_cause_is_left_out(file: Path) -> None:
    """What ``from`` says is lost by mypyc: see cause.py."""
    nodes = ast.walk(ast.parse((ROOT / file).read_text("utf-8")))
    assert not [node for node in nodes if isinstance(node, ast.Raise) and node.cause is not None]


def test_an_error_has_its_cause() -> None:
    cause = ValueError("what it came from")
    for told in (cause, None):
        error = caused_by(KeyError(), told)
        assert (error.__cause__, error.__suppress_context__) == (told, True)


def test_every_process_runs_the_same_build() -> None:
    program = "from cqrsbus.compiled import build_name; print(build_name())"
    for arguments in (["-c", program], ["-m", "cqrsbus", "--version"]):
        command = [sys.executable, *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
        assert build_name() in ran.stdout


def test_calls_within_the_library_are_direct() -> None:
    """What is seen from outside can be replaced from there: each call of it looks up its target. See hooks/custom."""
    library = find_spec("cqrsbus__mypyc")
    if library is None or library.origin is None:
        assert not is_compiled()
        return
    seen = ctypes.CDLL(library.origin)
    assert hasattr(seen, "PyInit_cqrsbus__mypyc")
    assert not hasattr(seen, "CPyDef_batch___check_batch")
