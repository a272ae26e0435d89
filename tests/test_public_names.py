"""What ``cqrsbus`` exports is what it says it exports, and nothing is exported by accident."""

import re
import subprocess
import sys
import types
from pathlib import Path

import cqrsbus
from cqrsbus import errors, testing

REFERENCE = (Path(__file__).parents[1] / "docs" / "reference.md").read_text()


def test_what_is_exported_is_what_is_named() -> None:
    public = {
        name
        for name, value in vars(cqrsbus).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public | {"__version__"} == set(cqrsbus.__all__)
    assert list(cqrsbus.__all__) == sorted(cqrsbus.__all__)


def test_what_is_exported_is_in_the_reference() -> None:
    listed = set(re.findall(r"^::: (cqrsbus\.\S+)$", REFERENCE, flags=re.MULTILINE))
    apart = {"__version__", *(name for name in cqrsbus.__all__ if hasattr(errors, name))}
    assert {f"cqrsbus.{name}" for name in set(cqrsbus.__all__) - apart} <= listed
    assert {f"cqrsbus.testing.{name}" for name in testing.__all__} <= listed
    assert "cqrsbus.errors" in listed


def test_the_library_is_quiet_until_logging_is_configured() -> None:
    program = "import cqrsbus, logging; logging.getLogger('cqrsbus.links').warning('heard')"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert (ran.stdout, ran.stderr) == ("", "")


EXTRAS = ("typer", "rich", "trio", "uvloop", "nats", "pytest")


def imported_along(module: str, *others: str) -> list[str]:
    """Which of these modules are imported together with one."""
    program = f"import sys, {module}; print(*[name for name in {others!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return ran.stdout.split()


def test_importing_the_library_needs_no_extra() -> None:
    """Neither the command line's dependencies, nor a particular event loop, nor what is for tests is imported along."""
    assert imported_along("cqrsbus", *EXTRAS, "cqrsbus.testing") == []


def test_the_testing_kit_needs_no_extra() -> None:
    """It serves any test runner."""
    assert imported_along("cqrsbus.testing", *EXTRAS) == []


def test_what_the_testing_kit_exports_is_what_is_named() -> None:
    assert sorted(testing.__all__) == list(testing.__all__)
    assert all(hasattr(testing, name) for name in testing.__all__)
