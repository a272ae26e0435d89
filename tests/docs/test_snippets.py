"""The programs that the documentation shows print what it says they print, on every backend."""

import inspect
import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import anyio
import anyio.to_thread
import pytest
import trio

from tests.docs.blocks import GUIDE, ROOT

PROGRAMS = sorted(GUIDE.glob("*.py"))

every_program = pytest.mark.parametrize("program", PROGRAMS, ids=[program.stem for program in PROGRAMS])


def expected(program: Path) -> str:
    return program.with_suffix(".txt").read_text("utf-8")


def load(program: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = spec_from_file_location(f"guide_{program.stem}", program)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # Where the bus looks up what a handler's annotations mean.
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.anyio
@every_program
async def test_prints_what_the_page_says(
    program: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main = load(program, monkeypatch).main
    with anyio.fail_after(30):
        if inspect.iscoroutinefunction(main):
            await main()
        else:
            await anyio.to_thread.run_sync(main)
    assert capsys.readouterr().out == expected(program)


@every_program
def test_runs_as_a_program(program: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, program], env=environment, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == expected(program)


def test_runs_under_trio_itself(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    program = GUIDE / "trio_program.py"
    trio.run(load(program, monkeypatch).main)
    assert capsys.readouterr().out == expected(program)


def test_no_output_is_without_its_program() -> None:
    assert {text.with_suffix(".py") for text in GUIDE.glob("*.txt")} == set(PROGRAMS)
