"""A bad network between a bus and its broker: chopped, stalled, cut; and many clients at once."""

import socket
import struct
from collections.abc import AsyncIterator

import anyio
import pytest
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from cqrsbus import Broker, BrokerLimits, Bus, ConnectionLostError
from cqrsbus.transports import ByteStream, Listener, connect, listen

pytestmark = pytest.mark.anyio


@pytest.fixture
def limits() -> BrokerLimits:
    return BrokerLimits(drain_timeout=0.1)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back fast."""
    monkeypatch.setattr("cqrsbus.links.backoff.random.uniform", lambda low, high: min(high, 0.01))


class Proxy:
    """Passes bytes on, as badly as it is told to."""

    def __init__(self, target: str, tasks: TaskGroup) -> None:
        self.chunk = 65536
        self.stalled: set[str] = set()
        self.cut_after: int | None = None
        self.passed = 0
        self.connections = 0
        self._target = target
        self._tasks = tasks
        self._streams: list[ByteStream] = []

    async def serve(self, listener: Listener) -> None:
        while True:
            near = await listener.accept()
            self.connections += 1
            far = await connect(self._target)
            self._streams += [near, far]
            self._tasks.start_soon(self._pass_on, near, far, "up")
            self._tasks.start_soon(self._pass_on, far, near, "down")

    async def _pass_on(self, source: ByteStream, sink: ByteStream, direction: str) -> None:
        try:
            while True:
                data = await source.receive(self.chunk)
                if direction in self.stalled:
                    await anyio.sleep_forever()
                if not data:
                    sink.send_eof()
                    return
                if self.cut_after is not None and self.passed + len(data) >= self.cut_after:
                    await sink.send(data[: self.cut_after - self.passed])
                    self.cut()
                    return
                self.passed += len(data)
                await sink.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            self.cut()

    def cut(self) -> None:
        """End every connection by a reset."""
        for stream in self._streams:
            sock: socket.socket = stream._sock  # type: ignore[attr-defined]
            if sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.close()
        self._streams.clear()
        self.cut_after = None


@pytest.fixture
async def proxy(broker: Broker) -> AsyncIterator[tuple[Proxy, str]]:
    listener = await listen("tcp://127.0.0.1:0")
    async with anyio.create_task_group() as tasks:
        proxy = Proxy(broker.url, tasks)
        tasks.start_soon(proxy.serve, listener)
        yield proxy, listener.url
        tasks.cancel_scope.cancel()
        proxy.cut()
    listener.close()


def _service(url: str) -> Bus:
    bus = Bus("service", url, drain_timeout=0.2)

    @bus.query_handler("q")
    async def answer(number: int) -> int:
        return number

    @bus.command_handler("c")
    async def do(number: int) -> None: ...

    return bus


async def _use(bus: Bus) -> None:
    assert await bus.ask("q", 1) == 1
    await bus.send("c", 1, wait=True)


async def test_single_bytes_are_enough(proxy: tuple[Proxy, str]) -> None:
    between, url = proxy
    between.chunk = 1
    with anyio.fail_after(20):
        async with _service(url) as bus, bus.subscribe("e", int) as numbers:
            await _use(bus)
            for number in range(20):
                await bus.publish("e", number)
            assert [await anext(numbers) for _ in range(20)] == list(range(20))


@pytest.mark.parametrize("offset", [1, 7, 8, 9, 30, 36, 60, 100, 150, 200, 300, 400, 500, 600])
async def test_a_reset_anywhere_costs_one_connection(proxy: tuple[Proxy, str], offset: int) -> None:
    between, url = proxy
    between.cut_after = offset
    with anyio.fail_after(20):
        async with _service(url) as bus:
            for _ in range(20):
                try:
                    await _use(bus)
                except ConnectionLostError:
                    await bus.wait_connected()
            await _use(bus)
    assert between.connections == 2


async def test_every_offset_of_the_greeting(proxy: tuple[Proxy, str]) -> None:
    between, url = proxy
    with anyio.fail_after(30):
        async with _service(url) as bus:
            for offset in range(1, 120, 3):
                between.passed = 0
                between.cut()
                between.cut_after = offset
                while between.cut_after is not None:
                    await checkpoint()
            await bus.wait_connected()
            await _use(bus)


@pytest.mark.parametrize("limits", [BrokerLimits(heartbeat=0.4, drain_timeout=0.1)], ids=["fast"])
@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_half_open_connection_is_noticed_in_time(proxy: tuple[Proxy, str], direction: str) -> None:
    between, url = proxy
    with anyio.fail_after(10):
        async with _service(url) as bus:
            await _use(bus)
            between.stalled.add(direction)
            before = anyio.current_time()
            with pytest.raises(ConnectionLostError):
                await bus.ask("q", 2, timeout=None)
            # 2.5 heartbeats of 0.4 s, and some seconds for a busy machine.
            assert anyio.current_time() - before < 6
            between.stalled.clear()
            await bus.wait_connected()
            await _use(bus)


async def test_a_hundred_clients_come_back_with_all_they_had(proxy: tuple[Proxy, str], broker: Broker) -> None:
    clients, heard = 100, set[int]()
    everybody = anyio.Event()
    between, url = proxy
    ready, leave = [anyio.Event() for _ in range(clients)], anyio.Event()

    async def live(number: int) -> None:
        bus = Bus(f"client-{number}", url)

        @bus.event_handler("e")
        async def listen(event: int) -> None:
            heard.add(number)
            if len(heard) == clients:
                everybody.set()

        async with bus:
            ready[number].set()
            await leave.wait()

    with anyio.fail_after(60):
        async with Bus("teller", broker.url) as teller, anyio.create_task_group() as tasks:
            for number in range(clients):
                tasks.start_soon(live, number)
            for event in ready:
                await event.wait()
            between.cut()
            while broker.connections > 1:
                await checkpoint()
            while not everybody.is_set():
                await teller.publish("e", 1)
                await anyio.wait_all_tasks_blocked()
            leave.set()
    assert between.connections == 2 * clients
