"""Being told to stop: the first signal is heard, the second one ends the process."""

import signal
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from cqrsbus.signals import until_signal

pytestmark = pytest.mark.anyio

SIGNALS = [signal.SIGINT, signal.SIGTERM]

_PROGRAM = """
import signal
import sys
import anyio
from cqrsbus.signals import until_signal

# Whoever is started in the background of a script ignores it, and so would this, where the tests are run there.
signal.signal(signal.SIGINT, signal.default_int_handler)

async def say_when_listening():
    await anyio.wait_all_tasks_blocked()
    print("listening", flush=True)

async def main():
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(say_when_listening)
        await until_signal()
    print("told to stop", flush=True)
    if sys.argv[3] == "hang":
        await anyio.sleep_forever()

backend, uvloop = sys.argv[1], sys.argv[2] == "True"
anyio.run(main, backend=backend, backend_options={"use_uvloop": True} if uvloop else {})
"""


@asynccontextmanager
async def program(
    backend: tuple[str, dict[str, bool]], then: str
) -> AsyncGenerator[tuple[Process, BufferedByteReceiveStream], None]:
    name, options = backend
    command = [sys.executable, "-c", _PROGRAM, name, str(options.get("use_uvloop", False)), then]
    with anyio.fail_after(20):
        async with await anyio.open_process(command) as process:
            try:
                assert process.stdout is not None
                output = BufferedByteReceiveStream(process.stdout)
                assert await output.receive_until(b"\n", 100) == b"listening"
                yield process, output
            finally:
                if process.returncode is None:
                    process.kill()


@pytest.mark.parametrize("told", SIGNALS)
async def test_the_first_signal_is_heard(told: signal.Signals, anyio_backend: tuple[str, dict[str, bool]]) -> None:
    async with program(anyio_backend, "end") as (process, output):
        process.send_signal(told)
        assert await output.receive_until(b"\n", 100) == b"told to stop"
        assert await process.wait() == 0


@pytest.mark.parametrize("again", SIGNALS)
async def test_the_second_one_ends_the_process(
    again: signal.Signals, anyio_backend: tuple[str, dict[str, bool]]
) -> None:
    async with program(anyio_backend, "hang") as (process, output):
        process.send_signal(signal.SIGINT)
        assert await output.receive_until(b"\n", 100) == b"told to stop"
        process.send_signal(again)
        assert await process.wait() == -again


def test_in_another_thread_it_waits_to_be_cancelled(anyio_backend: tuple[str, dict[str, bool]]) -> None:
    outcome: list[str] = []

    async def hear() -> None:
        await until_signal()
        outcome.append("heard")

    async def wait() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hear)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        outcome.append("cancelled")

    name, options = anyio_backend
    thread = threading.Thread(target=lambda: anyio.run(wait, backend=name, backend_options=options))
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    assert outcome == ["cancelled"]
