"""Connected pairs of every transport, and programs to meet them from another process."""

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from cqrsbus.transports import ByteStream, Listener, connect, listen

ProgramStarter = Callable[..., AbstractAsyncContextManager["Program"]]


@pytest.fixture(params=["tcp", "tcp-ipv6", "unix", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A URL to listen on, for each transport in turn."""
    urls = {
        "tcp": "tcp://127.0.0.1:0",
        "tcp-ipv6": "tcp://[::1]:0",
        "unix": f"unix://{tmp_path}/s",
        "memory": "memory:pair",
    }
    return urls[request.param]


@pytest.fixture
async def listener(url: str) -> AsyncIterator[Listener]:
    """A listener of each transport."""
    made = await listen(url)
    yield made
    made.close()


@pytest.fixture
async def pair(listener: Listener) -> AsyncIterator[tuple[ByteStream, ByteStream]]:
    """Both ends of a connection: the one that connected, the one that was accepted."""
    here = await connect(listener.url)
    there = await listener.accept()
    yield here, there
    here.close()
    there.close()


@dataclass
class Program:
    """A Python program in a process of its own."""

    process: Process
    _output: BufferedByteReceiveStream

    async def line(self) -> str:
        """Wait for the next line of its output."""
        return (await self._output.receive_until(b"\n", 4096)).decode()

    async def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        await self.process.wait()


@pytest.fixture
def program(anyio_backend: tuple[str, dict[str, bool]]) -> ProgramStarter:
    """Start a source text, whose ``main`` is run on the backend under test with the given arguments."""

    @asynccontextmanager
    async def start(source: str, *args: str) -> AsyncGenerator[Program, None]:
        name, options = anyio_backend
        tail = f"\nimport anyio, sys\nanyio.run(main, *sys.argv[1:], backend={name!r}, backend_options={options!r})\n"
        async with await anyio.open_process([sys.executable, "-c", source + tail, *args], stderr=None) as process:
            assert process.stdout is not None
            try:
                yield Program(process, BufferedByteReceiveStream(process.stdout))
            finally:
                if process.returncode is None:
                    process.kill()

    return start
