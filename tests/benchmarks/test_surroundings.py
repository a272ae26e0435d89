import sys

import pytest

from benchmarks.surroundings import surroundings
from cqrsbus.compiled import build_name

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the processor is read from /proc")


def test_the_build_that_is_measured_is_named() -> None:
    assert surroundings()["build"] == build_name()
