"""Names that are imported when they are first used, in a package made for it."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cqrsbus import lazy

PACKAGE = """
from cqrsbus import lazy
asked = []
homes = {"first": "made_for_lazy.one", "second": "made_for_lazy.two", "lost": "made_for_lazy.two"}
find = lazy.importer(__name__, homes)

def __getattr__(name):
    asked.append(name)
    return find(name)
"""
#: What the modules do when they are imported.
ONE = "import made_for_lazy\nfirst = [made_for_lazy.second]"
TWO = "second = object()"


class Watched:
    """A lock that counts how deep one is in it."""

    depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *error: object) -> None:
        self.depth -= 1


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The package; it has been imported, and none of its modules."""
    folder = tmp_path / "made_for_lazy"
    folder.mkdir()
    for name, text in (("__init__", PACKAGE), ("one", ONE), ("two", TWO)):
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield importlib.import_module("made_for_lazy")
    for name in [name for name in sys.modules if name.partition(".")[0] == "made_for_lazy"]:
        del sys.modules[name]


def test_a_module_is_imported_with_its_first_name_and_asked_once(made: Any) -> None:
    assert "made_for_lazy.two" not in sys.modules
    second = made.second
    assert second is sys.modules["made_for_lazy.two"].second
    assert made.second is second
    assert made.asked == ["second"]


def test_a_module_may_use_a_name_of_the_package_itself(made: Any) -> None:
    assert made.first == [made.second]


def test_a_name_that_is_not_in_its_module_is_told_as_such(made: Any) -> None:
    with pytest.raises(AttributeError, match=r"^module 'made_for_lazy\.two' has no attribute 'lost'$"):
        _ = made.lost
    assert "lost" not in vars(made)


def test_an_import_that_fails_is_tried_again(made: Any, tmp_path: Path) -> None:
    two = tmp_path / "made_for_lazy" / "two.py"
    two.write_text("raise ImportError('not yet')")
    with pytest.raises(ImportError, match=r"^not yet$"):
        _ = made.second
    two.write_text("second = 'there now'")
    importlib.invalidate_caches()
    assert made.second == "there now"


def test_one_thread_at_a_time_imports(made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched()
    monkeypatch.setattr(lazy, "_IMPORTING", watched)
    (tmp_path / "made_for_lazy" / "two.py").write_text("import cqrsbus.lazy\nsecond = cqrsbus.lazy._IMPORTING.depth")
    assert made.second == 1
    assert watched.depth == 0
