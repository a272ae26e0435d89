"""The pytest plugin, in runs of pytest of their own."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TESTS = """
    import os
    import pytest
    from cqrsbus import Bus
    from cqrsbus.testing import TestBus

    pytestmark = pytest.mark.anyio

    async def test_by_the_class():
        async with TestBus(Bus("a")) as t:
            print("class:", t.url.partition(":")[0])

    async def test_by_the_fixture(cqrsbus_test, cqrsbus_broker):
        async with cqrsbus_test(Bus("a")) as t:
            print("fixture:", t.url.partition(":")[0], cqrsbus_broker)
"""


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder, with our plugin and anyio's alone."""
    plugins = ["-p", "anyio", "-p", "cqrsbus.testing.plugin", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-sv", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = "\n".join(line.removeprefix("    ") for line in TESTS.splitlines())
    backend = '\n@pytest.fixture(params=["asyncio", "trio"])\ndef anyio_backend(request):\n    return request.param\n'
    (tmp_path / "test_it.py").write_text(source + backend)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "environment", "chosen"),
    [
        ([], {}, "memory"),
        (["--cqrsbus-broker=tcp"], {}, "tcp"),
        ([], {"CQRSBUS_TEST_BROKER": "tcp"}, "tcp"),
        (["--cqrsbus-broker=memory"], {"CQRSBUS_TEST_BROKER": "tcp"}, "memory"),
    ],
)
def test_one_option_chooses_the_broker_of_every_test(
    folder: Path, arguments: list[str], environment: dict[str, str], chosen: str
) -> None:
    done = run(folder, *arguments, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(f"class: {chosen}\n") == 2
    assert done.stdout.count(f"fixture: {chosen} {chosen}\n") == 2


def test_a_broker_that_is_none_fails_the_tests_and_says_what_is(folder: Path) -> None:
    done = run(folder, "--cqrsbus-broker=redis")
    assert done.returncode == 1
    assert "the broker of a test is 'memory', 'tcp' or a URL" in done.stdout


def test_the_help_names_the_option(folder: Path) -> None:
    assert "--cqrsbus-broker=memory|tcp|URL" in run(folder, "--help").stdout


def test_a_run_that_does_not_use_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import os\n\ndef test_other(request):\n"
        "    assert not [name for name in request.fixturenames if name.startswith('cqrsbus')]\n"
        "    assert 'CQRSBUS_TEST_BROKER' not in os.environ\n"
    )
    done = run(tmp_path, "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr


def test_pytest_finds_it_by_its_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"cqrsbus": "cqrsbus.testing.plugin"}
