"""The tests that the documentation shows pass, against each kind of broker."""

import os
import subprocess
import sys

import pytest

from tests.docs.blocks import GUIDE, ROOT

PLUGINS = ["-p", "anyio", "-p", "cqrsbus.testing.plugin", "-p", "no:cacheprovider"]


@pytest.mark.parametrize("broker", ["memory", "tcp"])
@pytest.mark.parametrize("folder", ["notes", "shop"])
def test_they_pass(folder: str, broker: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *PLUGINS, f"--cqrsbus-broker={broker}", folder],
        cwd=GUIDE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed in " in done.stdout
