import pytest

from cqrsbus.cli import about
from cqrsbus.version import __version__


@pytest.mark.parametrize("name", ["compiled", "pure Python"])
def test_version_and_build_are_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(about, "build_name", lambda: name)
    assert about.about() == f"cqrsbus {__version__} ({name})"
