"""Child processes that are gone after the block, whatever happens in it."""

import os
import signal
from pathlib import Path

import anyio
import pytest

from examples.email.processes import ROOT, Processes, ProcessFailedError

pytestmark = pytest.mark.anyio

READY = "print('ready: yes', flush=True); "
WAIT = "import signal; signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_process_lives_as_long_as_the_block(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with Processes(tmp_path) as processes:
            pid, rest = await processes.start("child", "-c", READY + WAIT, ready="ready: ")

            assert rest == "yes"
            assert is_alive(pid)

    assert not is_alive(pid)


async def test_an_error_in_the_block_ends_them(tmp_path: Path) -> None:
    pids: list[int] = []

    async def fail() -> None:
        async with Processes(tmp_path) as processes:
            for name in ("one", "two"):
                pid, _ = await processes.start(name, "-c", READY + WAIT, ready="ready: ")
                pids.append(pid)
            raise LookupError

    with anyio.fail_after(20), pytest.raises(LookupError):
        await fail()

    assert [is_alive(pid) for pid in pids] == [False, False]


async def test_cancellation_ends_them_too(tmp_path: Path) -> None:
    pid = 0
    with anyio.fail_after(20):
        with anyio.CancelScope() as scope:
            async with Processes(tmp_path) as processes:
                pid, _ = await processes.start("child", "-c", READY + WAIT, ready="ready: ")
                scope.cancel()
                await anyio.sleep_forever()

    assert pid
    assert not is_alive(pid)


async def test_when_one_ends_by_itself_the_block_does_too(tmp_path: Path) -> None:
    pid = other = 0

    async def serve() -> None:
        nonlocal pid, other
        async with Processes(tmp_path) as processes:
            other, _ = await processes.start("other", "-c", READY + WAIT, ready="ready: ")
            pid, _ = await processes.start("child", "-c", READY + WAIT, ready="ready: ")
            os.kill(pid, signal.SIGKILL)
            await anyio.sleep_forever()

    with anyio.fail_after(20), pytest.raises(ProcessFailedError, match="child ended with exit code -9"):
        await serve()

    assert [is_alive(pid), is_alive(other)] == [False, False]


async def test_they_end_in_the_reverse_order(tmp_path: Path) -> None:
    say = "import os, signal; signal.signal(signal.SIGTERM, lambda *_: (open('{}', 'a').write('{} '), os._exit(0))); "
    order = tmp_path / "order"
    with anyio.fail_after(20):
        async with Processes(tmp_path) as processes:
            for name in ("first", "second"):
                await processes.start(name, "-c", say.format(order, name) + READY + WAIT, ready="ready: ")

    assert order.read_text().split() == ["second", "first"]


async def test_one_that_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with anyio.fail_after(20):
        async with Processes(tmp_path) as processes:
            pid, _ = await processes.start(
                "child", "-c", STUBBORN + READY + "\nwhile True: signal.pause()", ready="ready"
            )
            monkeypatch.setattr("examples.email.processes.PATIENCE", 0.1)

    assert not is_alive(pid)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("raise SystemExit(3)", "child ended with exit code 3 before it was ready"),
        ("print('no newline', end='')", "child ended with exit code 0 before it was ready"),
        ("print('hello', flush=True); " + WAIT, "child said 'hello' instead of 'ready: '"),
    ],
)
async def test_one_that_does_not_become_ready_is_an_error(tmp_path: Path, program: str, message: str) -> None:
    with anyio.fail_after(20):
        async with Processes(tmp_path) as processes:
            with pytest.raises(ProcessFailedError) as caught:
                await processes.start("child", "-c", program, ready="ready: ")

    assert str(caught.value) == message


async def test_one_that_says_nothing_is_not_waited_for_forever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("examples.email.processes.PATIENCE", 0.1)
    with anyio.fail_after(20):
        async with Processes(tmp_path) as processes:
            with pytest.raises(TimeoutError):
                await processes.start("child", "-c", WAIT, ready="ready: ")


async def test_what_was_said_on_stderr_is_kept(tmp_path: Path) -> None:
    speak = "import sys; print('账户 trouble', file=sys.stderr); "
    with anyio.fail_after(20):
        async with Processes(tmp_path) as processes:
            await processes.start("loud", "-c", speak + READY + WAIT, ready="ready: ")
            await processes.start("quiet", "-c", READY + WAIT, ready="ready: ")

            assert processes.logs() == {"loud": "账户 trouble"}


async def test_a_process_that_is_run_has_ended_well_or_is_an_error(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with Processes(tmp_path) as processes:
            await processes.run("good", "-c", "print('not seen')")
            with pytest.raises(ProcessFailedError, match="bad ended with exit code 4"):
                await processes.run("bad", "-c", "raise SystemExit(4)")


async def test_settings_of_the_users_own_broker_are_kept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CQRSBUS_URL", "tcp://127.0.0.1:1")
    processes = Processes(tmp_path)

    assert "CQRSBUS_URL" not in processes.environment
    assert "PATH" in processes.environment
    assert (ROOT / "examples").is_dir()
