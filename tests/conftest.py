"""What every test stands on: the three backends, and property tests without a deadline of their own."""

import gc
import os
from collections.abc import Generator, Iterator

import pytest
from hypothesis import settings

import cqrsbus
from cqrsbus.compiled import build_name, is_compiled
from tests.ports import held_port

# A test's own figures decide how long it may run (anyio.fail_after), not the speed of one example.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))

# A developer's own broker settings are no part of any test.
for _name in [name for name in os.environ if name.startswith("CQRSBUS_")]:
    del os.environ[_name]

Backend = tuple[str, dict[str, bool]]


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--compiled``: what is tested is an installed compiled build, and not the checkout."""
    parser.addoption("--compiled", action="store_true", help="the compiled build is tested, see `make test-native`")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to test another build than the one that is meant: the tests could not tell."""
    if is_compiled() is not config.getoption("--compiled"):
        where = cqrsbus.__path__[0]
        raise pytest.UsageError(f"the build in {where} is {build_name()}: see --compiled, and `make clean`")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="asyncio+uvloop"),
        pytest.param(("trio", {}), id="trio"),
    ],
)
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    """Run each ``anyio`` test once per backend; a missing backend is a failure, never a skip."""
    backend: Backend = request.param
    return backend


@pytest.fixture
def tcp_url() -> Iterator[str]:
    """A URL for a broker to listen on, which is no other's while it is down."""
    with held_port() as port:
        yield f"tcp://127.0.0.1:{port}"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Set what was collected aside: looking through thousands of tests for garbage would stop one for half a second."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, object, object]:
    """Let reports say everything: one with a lone surrogate, as in a log, could not be sent and would end the run."""
    return _encodable((yield))


def _encodable(value: object) -> object:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode("utf-8")
        case dict():
            return {_encodable(key): _encodable(each) for key, each in value.items()}
        case list():
            return [_encodable(each) for each in value]
        case tuple():
            return tuple(_encodable(each) for each in value)
        case _:
            return value
