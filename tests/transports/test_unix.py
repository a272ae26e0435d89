# ruff: noqa: ASYNC240 - looking at a temporary file does not block
"""The unix transport: whose socket is whose."""

import errno
import fcntl
import os
import socket
import stat
from pathlib import Path
from typing import Any

import anyio
import pytest

from cqrsbus.errors import ConnectError
from cqrsbus.transports import connect, listen, unix

pytestmark = pytest.mark.anyio

BROKER = """
from cqrsbus.transports import listen

async def main(url):
    listener = await listen(url)
    print(listener.url, flush=True)
    while True:
        stream = await listener.accept()
        stream.close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


async def test_a_live_brokers_socket_is_never_taken_and_a_dead_ones_is_replaced(path: Path, program: Any) -> None:
    url = f"unix://{path}"
    with anyio.fail_after(20):
        async with program(BROKER, url) as broker:
            assert (await broker.line()).strip() == url
            with pytest.raises(ConnectError, match="a live broker listens there already"):
                await listen(url)
            client = await connect(url)
            assert await client.receive() == b""
            client.close()
            await broker.kill()
        assert path.is_socket()
        with pytest.raises(ConnectError, match="Connection refused"):
            await connect(url)
        listener = await listen(url)
        (await connect(url)).close()
        (await listener.accept()).close()
        listener.close()
    assert list(path.parent.iterdir()) == []


async def test_a_live_listener_that_knows_no_lock_is_not_taken_either(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other, anyio.fail_after(5):
        other.bind(str(path))
        other.listen()
        with pytest.raises(ConnectError, match="a live broker listens there already"):
            await listen(f"unix://{path}")
        assert path.is_socket()
    assert not Path(f"{path}.lock").exists()


async def test_a_live_listener_with_a_full_backlog_is_not_taken_either(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_UNIX) as first, anyio.fail_after(5):
        other.bind(str(path))
        other.listen(0)
        first.connect(str(path))
        with pytest.raises(ConnectError, match="a live broker listens there already"):
            await listen(f"unix://{path}")
        assert path.is_socket()


@pytest.mark.parametrize("kind", ["file", "directory", "dangling link"])
async def test_what_is_no_socket_is_left_alone(path: Path, kind: str) -> None:
    if kind == "file":
        path.write_text("precious")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    with anyio.fail_after(5), pytest.raises(ConnectError, match="the path exists and is not a socket") as caught:
        await listen(f"unix://{path}")
    assert str(path) in str(caught.value)
    assert [entry.name for entry in path.parent.iterdir()] == ["s"]
    assert kind != "file" or path.read_text() == "precious"


async def test_the_lock_is_held_for_the_listeners_life(path: Path) -> None:
    with anyio.fail_after(5):
        listener = await listen(f"unix://{path}")
        path.unlink()
        with pytest.raises(ConnectError, match="a live broker listens there already"):
            await listen(f"unix://{path}")
        listener.close()
        again = await listen(f"unix://{path}")
        again.close()


async def test_a_lock_that_was_removed_before_it_was_locked_is_no_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last holder removes its file between another's opening and locking of it."""
    flock = fcntl.flock
    calls = 0

    def flock_too_late(file: int, operation: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            os.unlink(f"{path}.lock")
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock_too_late)
    with anyio.fail_after(5):
        listener = await listen(f"unix://{path}")
        assert calls == 2
        with pytest.raises(ConnectError, match="a live broker"):
            await listen(f"unix://{path}")
        listener.close()


async def test_only_the_owner_may_connect_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        with anyio.fail_after(5):
            listener = await listen(f"unix://{path}")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(Path(f"{path}.lock").stat().st_mode) == 0o600
        listener.close()
        os.umask(0o777)
        with anyio.fail_after(5):
            listener = await listen(f"unix://{path}?mode=660")
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert stat.S_IMODE(Path(f"{path}.lock").stat().st_mode) == 0o600
        listener.close()
    finally:
        os.umask(before)


@pytest.mark.parametrize("mode", ["9", "rw", "", "06600", "-1"])
async def test_a_mode_must_be_octal(path: Path, mode: str) -> None:
    with anyio.fail_after(5), pytest.raises(ValueError, match="mode must be octal"):
        await listen(f"unix://{path}?mode={mode}")
    assert list(path.parent.iterdir()) == []


async def test_closing_tolerates_that_the_files_have_gone(path: Path) -> None:
    with anyio.fail_after(5):
        listener = await listen(f"unix://{path}")
        path.unlink()
        Path(f"{path}.lock").unlink()
        listener.close()
    assert list(path.parent.iterdir()) == []


async def test_closing_leaves_anothers_socket_and_lock_alone(path: Path) -> None:
    with anyio.fail_after(5):
        first = await listen(f"unix://{path}")
        path.unlink()
        Path(f"{path}.lock").unlink()
        second = await listen(f"unix://{path}")
        first.close()
        assert sorted(entry.name for entry in path.parent.iterdir()) == ["s", "s.lock"]
        (await connect(f"unix://{path}")).close()
        (await second.accept()).close()
        with pytest.raises(ConnectError, match="a live broker"):
            await listen(f"unix://{path}")
        second.close()


async def test_a_relative_path_is_relative_to_here_and_now(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    with anyio.fail_after(5):
        listener = await listen("unix://s")
        client = await connect("unix://s")
        assert listener.url == client.peer == f"unix://{path}"
        monkeypatch.chdir("/")
        client.close()
        listener.close()
    assert list(path.parent.iterdir()) == []


async def test_a_path_that_is_too_long_is_refused_with_the_figures(tmp_path: Path) -> None:
    room = unix.MAX_PATH_BYTES - len(os.fsencode(tmp_path)) - 1
    longest, too_long = tmp_path / ("x" * room), tmp_path / ("x" * (room + 1))
    with anyio.fail_after(5):
        listener = await listen(f"unix://{longest}")
        (await connect(listener.url)).close()
        listener.close()
        for attempt in (listen, connect):
            with pytest.raises(ConnectError, match="the socket path has 108 bytes, 107 is the most"):
                await attempt(f"unix://{too_long}")


async def test_a_directory_that_is_missing_is_a_connect_error(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        with pytest.raises(ConnectError, match=r"cannot listen on unix://.*No such file"):
            await listen(f"unix://{tmp_path}/missing/s")
        with pytest.raises(ConnectError, match=r"cannot connect to unix://.*No such file"):
            await connect(f"unix://{tmp_path}/missing/s")


async def test_a_failure_after_locking_gives_the_lock_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_chmod(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with anyio.fail_after(5):
        with monkeypatch.context() as patch:
            patch.setattr(os, "chmod", no_chmod)
            with pytest.raises(ConnectError, match="not permitted"):
                await listen(f"unix://{path}")
        assert list(path.parent.iterdir()) == []
        (await listen(f"unix://{path}")).close()


async def test_connecting_waits_while_the_backlog_is_full(path: Path) -> None:
    with anyio.fail_after(5):
        listener = await listen(f"unix://{path}", backlog=1)
        streams = [await connect(listener.url), await connect(listener.url)]
        with anyio.move_on_after(0.05) as scope:
            await connect(listener.url)
        assert scope.cancelled_caught
        async with anyio.create_task_group() as tasks:

            async def late() -> None:
                streams.append(await connect(listener.url))

            tasks.start_soon(late)
            streams.append(await listener.accept())
        for stream in streams:
            stream.close()
        listener.close()
