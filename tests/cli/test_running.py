import signal
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import get_args

import anyio
import pytest
import sniffio
from anyio.lowlevel import checkpoint

from cqrsbus.cli import running
from cqrsbus.cli.failures import CommandError, UsageError
from cqrsbus.cli.running import Stop, entered, run
from cqrsbus.cli.settings import Backend
from cqrsbus.errors import InvalidTopicError

BACKENDS: tuple[Backend, ...] = get_args(Backend)
LONG = 30


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """A command's signal handling ends with its process; here it must not outlive the test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_backend_really_runs(backend: Backend) -> None:
    seen = list[str]()

    async def work(_: Stop) -> None:
        seen.append(sniffio.current_async_library())
        if backend != "trio":
            import asyncio

            seen.append(type(asyncio.get_running_loop()).__module__.partition(".")[0])

    assert run(backend, work) is None
    assert seen == {"asyncio": ["asyncio"] * 2, "uvloop": ["asyncio", "uvloop"], "trio": ["trio"]}[backend]


def test_a_missing_backend_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "find_spec", lambda _: None)

    async def work(_: Stop) -> None:
        raise AssertionError("never started")

    with pytest.raises(CommandError, match=r"^the backend trio is not installed: pip install 'cqrsbus\[trio\]'$"):
        run("trio", work)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_signal_cancels_the_marked_part_alone(backend: Backend, number: signal.Signals) -> None:
    seen = list[str]()

    async def work(stop: Stop) -> None:
        with anyio.fail_after(LONG):
            signal.raise_signal(number)
            await stop.wait()
            seen.append("woken")
            await checkpoint()
            seen.append("cleaned up")

    assert run(backend, work) is number
    assert seen == ["woken", "cleaned up"]
    assert signal.getsignal(signal.SIGINT) is signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_signal_cancels_everything_where_no_part_is_marked(backend: Backend) -> None:
    seen = list[str]()

    async def work(stop: Stop) -> None:
        with anyio.fail_after(LONG):
            with stop.only_here():
                await checkpoint()
            signal.raise_signal(signal.SIGINT)
            try:
                await anyio.sleep_forever()
            finally:
                seen.append("cancelled")

    assert run(backend, work) is signal.SIGINT
    assert seen == ["cancelled"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_error_leaves_as_it_is(backend: Backend) -> None:
    async def work(_: Stop) -> None:
        raise CommandError("broken")

    with pytest.raises(CommandError, match=r"^broken$"):
        run(backend, work)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(ValueError("bad option"), UsageError), (InvalidTopicError("bad"), InvalidTopicError), (KeyError("x"), KeyError)],
)
def test_a_value_that_cannot_be_used_is_the_callers_mistake(raised: Exception, expected: type[Exception]) -> None:
    @asynccontextmanager
    async def service() -> AsyncGenerator[None]:
        raise raised
        yield

    async def work(_: Stop) -> None:
        async with entered(service()):
            raise AssertionError("never entered")

    with pytest.raises(expected):
        run("asyncio", work)


def test_a_value_error_inside_is_left_alone() -> None:
    @asynccontextmanager
    async def service() -> AsyncGenerator[None]:
        yield

    async def work(_: Stop) -> None:
        async with entered(service()):
            raise ValueError("inside")

    with pytest.raises(ValueError, match=r"^inside$"):
        run("asyncio", work)
