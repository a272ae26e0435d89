"""The pytest plugin: ``pytest --cqrsbus-broker=tcp`` runs the same tests against a broker behind a socket.

It adds one option and two fixtures, and changes nothing else. Async tests are run by anyio's own plugin.
"""

import os
from collections.abc import Generator
from typing import Final

import pytest

from cqrsbus.testing.brokers import VARIABLE
from cqrsbus.testing.harness import TestBus

_OPTION: Final = "--cqrsbus-broker"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our option."""
    parser.getgroup("cqrsbus").addoption(
        _OPTION,
        metavar="memory|tcp|URL",
        help=f"what TestBus runs against: a broker in this process, one on a TCP port, or the one at the URL "
        f"(default: ${VARIABLE}, then memory)",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Let every TestBus of this run know the choice, and the programs that tests start."""
    choice: str | None = session.config.getoption(_OPTION)
    if choice is None:
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, choice)
        return (yield)


@pytest.fixture(scope="session")
def cqrsbus_broker() -> str:
    """What TestBus runs against: ``memory``, ``tcp`` or a URL."""
    return os.environ.get(VARIABLE) or "memory"


@pytest.fixture
def cqrsbus_test() -> type[TestBus]:
    """TestBus itself: ``async with cqrsbus_test(bus) as t``."""
    return TestBus
