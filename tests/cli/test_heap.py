"""Freed memory that is kept: as many pages are asked for as once, and not each time anew."""

import platform
import subprocess
import sys

import pytest

_SCRIPT = """
import resource
from cqrsbus.cli.heap import keep_freed
if {size}:
    keep_freed({size})
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        bodies = [b"x" * 300_000 for _ in range(8)]
        del bodies
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(size: int) -> int:
    script = _SCRIPT.format(size=size)
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's malloc")
@pytest.mark.parametrize("size", [4 * 1024 * 1024, 64 * 1024 * 1024], ids=["usual", "more than there can be"])
def test_freed_memory_is_used_again(size: int) -> None:
    assert _faults(size) < _faults(0) / 10
