"""What a broker keeps is bounded, whatever is thrown at it: measured on a broker in a process of its own."""

import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from cqrsbus import Bus, Code
from cqrsbus.wire.connection import PREAMBLE
from cqrsbus.wire.frames import Kind
from tests.broker.raw import message, raw_client, subscribe

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

MIB = 1024 * 1024

SOURCE = """
import sys
import anyio
from cqrsbus import Broker, BrokerLimits, RoutingLimits

async def main() -> None:
    routing = RoutingLimits(stall_timeout=0.5)
    async with Broker("tcp://127.0.0.1:0", limits=BrokerLimits(write_timeout=0.5, routing=routing)) as broker:
        print(broker.url, flush=True)
        await anyio.sleep_forever()

anyio.run(main, backend=sys.argv[1], backend_options={"use_uvloop": True} if sys.argv[2] == "True" else {})
"""


class BrokerProcess:
    """A broker whose memory can be read."""

    def __init__(self, process: Process, url: str) -> None:
        self._process = process
        self.url = url

    @property
    def peak(self) -> int:
        """The most bytes it ever had in memory."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024


@pytest.fixture
async def process(anyio_backend: tuple[str, dict[str, bool]]) -> AsyncIterator[BrokerProcess]:
    name, options = anyio_backend
    command = [sys.executable, "-c", SOURCE, name, str(options.get("use_uvloop", False))]
    async with await anyio.open_process(command, stderr=None) as process:
        assert process.stdout is not None
        line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 1000)
        yield BrokerProcess(process, line.decode())
        process.kill()


async def test_strangers_with_huge_bodies_and_floods_before_hello(process: BrokerProcess) -> None:
    async def flood(said: bytes) -> None:
        async with raw_client(process.url) as client:
            body = b"x" * MIB
            try:
                await client.stream.send(said)
                for _ in range(100):
                    await client.stream.send(body)
                code, _ = await client.expect_refusal()
                assert code in (Code.FRAME_TOO_LARGE, Code.UNSUPPORTED)
            except anyio.BrokenResourceError:
                pass  # its patience was over before the client's
            refused.append(said)

    refused = list[bytes]()
    before = process.peak
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for kind in [kind for kind in Kind if kind != Kind.HELLO][:13]:
                tasks.start_soon(flood, PREAMBLE + struct.pack("!IB", 100 * MIB, kind) + b"\0" * 23)
            tasks.start_soon(flood, b"")
        async with Bus("guest", process.url) as bus:
            assert bus.status == "connected"
    assert len(refused) == 14
    assert process.peak - before < 20 * MIB


async def test_many_who_announce_a_large_frame_and_send_little_of_it(process: BrokerProcess) -> None:
    async def announce(said: bytes) -> None:
        async with raw_client(process.url) as client:
            await client.greet(instance=f"client-{len(greeted)}")
            await client.stream.send(said)
            greeted.append(client)
            await everybody.wait()

    greeted, everybody = list[object](), anyio.Event()
    frame = message(Kind.PUBLISH, "e", bytes(MIB - 1000)).encode()
    async with Bus("guest", process.url) as bus:
        before = process.peak
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for size in [4, 28, 100, 5000] * 25:
                    tasks.start_soon(announce, frame[:size])
                while len(greeted) < 100:
                    await anyio.lowlevel.checkpoint()
                assert await bus_still_works(bus)
                everybody.set()
    # What a connection needs anyway is much less than 100 KiB; what they announced would be 100 MiB.
    assert process.peak - before < 16 * MIB


async def bus_still_works(bus: Bus) -> bool:
    async with bus.subscribe("tick", int) as ticks:
        await bus.publish("tick", 1)
        return await anext(ticks) == 1


async def test_a_subscriber_that_stops_reading_while_much_is_published(process: BrokerProcess) -> None:
    published = 200
    before = process.peak
    with anyio.fail_after(40):
        async with raw_client(process.url) as sleeper, Bus("teller", process.url) as teller:
            await sleeper.greet()
            await sleeper.send(subscribe("event", "e"))
            await sleeper.expect(Kind.CONFIRM)
            for _ in range(published):
                await teller.publish("e", b"x" * (MIB // 2), timeout=20)
            assert await bus_still_works(teller)
    # Its outbox and its queue, 8 MiB each, and 8 for everything else.
    assert process.peak - before < 24 * MIB


async def test_asks_that_nobody_answers_and_callers_that_come_and_go(process: BrokerProcess) -> None:
    with anyio.fail_after(40):
        async with raw_client(process.url) as silent:
            await silent.greet(instance="silent")
            await silent.send(subscribe("query", "q", messages=10))
            await silent.expect(Kind.CONFIRM)
            peaks = list[int]()
            for _ in range(3):
                for round_ in range(20):
                    async with raw_client(process.url) as caller:
                        await caller.greet(instance=f"caller-{round_}")
                        await caller.send(*(message(Kind.ASK, "q", b"x" * 1000, id=id, ttl=1) for id in range(1, 501)))
                        for _ in range(500):
                            assert (await caller.expect(Kind.REJECT)).detail == Code.DEADLINE_EXCEEDED
                peaks.append(process.peak)
    # 30,000 requests in three equal rounds: the last two need no more than the first.
    assert peaks[2] - peaks[0] < 4 * MIB
