"""A tapped line: what it counts, what faults take, and what a cut does."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from cqrsbus.errors import ConnectionLostError
from cqrsbus.links.channel import Channel
from cqrsbus.testing.faults import Faults
from cqrsbus.testing.line import Line, TappedChannel
from cqrsbus.wire.frames import Flag, Frame, Kind
from tests.links.channels import FakeChannel, heard

pytestmark = pytest.mark.anyio


class Closable(FakeChannel):
    is_closed = False

    def close(self) -> None:
        self.is_closed = True

    async def wait_room(self) -> None:
        await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def tapped() -> AsyncGenerator[tuple[Closable, TappedChannel, Line]]:
    """A channel that runs behind a tap."""
    real, line = Closable(), Line(Faults())

    async def opener() -> Channel:
        return real

    with anyio.fail_after(5):
        channel = await line.around(opener)()
        assert isinstance(channel, TappedChannel)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(channel.run)
            yield real, channel, line
            tasks.cancel_scope.cancel()


def message(kind: Kind = Kind.SEND, topic: str = "a", id: int = 1) -> Frame:
    return Frame.of(kind, topic=topic.encode(), id=id)


class TestWhatItCounts:
    async def test_what_is_said_and_heard(self) -> None:
        async with tapped() as (real, channel, line):
            before = line.moves
            channel.put(message())
            real.say(Frame(Kind.CONFIRM, id=1), Frame(Kind.CREDIT))
            assert await heard(channel) == [Frame(Kind.CONFIRM, id=1), Frame(Kind.CREDIT)]
            assert line.moves == before + 3

    async def test_no_heartbeat(self) -> None:
        async with tapped() as (real, channel, line):
            before = line.moves
            channel.put(Frame(Kind.PING, id=1))
            real.say(Frame(Kind.PONG, id=1))
            await heard(channel)
            assert line.moves == before

    async def test_connections(self) -> None:
        async with tapped() as (_, channel, line):
            before = line.moves
            assert before == 1
            channel.close()
            assert line.moves > before


class TestWhatItPassesOn:
    async def test_the_rest_of_the_channel(self) -> None:
        async with tapped() as (real, channel, _):
            assert channel.terms is real.terms
            assert (channel.has_room(), channel.last_received, channel.last_sent) == (True, 0.0, 0.0)
            await channel.wait_room()

    async def test_the_end(self) -> None:
        async with tapped() as (real, channel, _):
            real.end()
            assert await heard(channel) is None

    async def test_a_broken_connection(self) -> None:
        async with tapped() as (real, channel, _):
            real.end(ConnectionLostError("broke"))
            with pytest.raises(ConnectionLostError, match="broke"):
                await heard(channel)

    async def test_that_nothing_is_taken_any_more(self) -> None:
        real, line = Closable(), Line(Faults())
        real.stuck = TimeoutError()
        with anyio.fail_after(5), pytest.raises(TimeoutError):
            await TappedChannel(real, line).run()


class TestFaults:
    async def test_a_lost_request(self) -> None:
        async with tapped() as (real, channel, line):
            line.faults.drop("a")
            channel.put(message(id=1))
            channel.put(message(id=2))
            assert (await real.expect(Kind.SEND)).id == 2

    async def test_a_lost_event_gives_its_bytes_back(self) -> None:
        async with tapped() as (real, channel, line):
            line.faults.drop("a")
            event = message(Kind.PUBLISH)
            channel.put(event)
            await real.expect(Kind.PING)
            real.say(Frame(Kind.PONG))
            assert await heard(channel) == [Frame(Kind.CREDIT, id=event.size), Frame(Kind.PONG)]
            assert real.frames == []

    async def test_a_late_message_and_those_behind_it(self) -> None:
        async with tapped() as (real, channel, line):
            line.faults.delay("a", 0.02, times=1)
            for number, topic in enumerate(["a", "a", "b"]):
                channel.put(message(topic=topic, id=number))
            assert [(await real.expect(Kind.SEND)).id for _ in range(3)] == [2, 0, 1]
            await line.wait_nothing_held()

    async def test_what_is_no_message_is_not_held_up(self) -> None:
        async with tapped() as (real, channel, line):
            line.faults.delay(">", 60)
            channel.put(message())
            channel.put(Frame(Kind.ACK, id=7))
            await real.expect(Kind.ACK)

    async def test_who_leaves_takes_a_late_message_back(self) -> None:
        async with tapped() as (real, channel, line):
            line.faults.delay("a", 60)
            channel.put(message(id=3))
            channel.put(Frame(Kind.CANCEL, id=3))
            channel.put(Frame(Kind.CANCEL, id=4))
            assert (await real.expect(Kind.CANCEL)).id == 4
            await line.wait_nothing_held()

    async def test_what_is_said_of_a_late_request_stays_behind_it(self) -> None:
        async with tapped() as (real, channel, line):
            line.faults.delay("a", 0.02, times=1)
            channel.put(message(Kind.ASK, id=3))
            for id in (3, 4):
                channel.put(Frame(Kind.CREDIT, flags=Flag.OF_STREAM, id=id, detail=1))
            said = [await real.expect_any() for _ in range(3)]
            assert [(frame.kind, frame.id) for frame in said] == [(Kind.CREDIT, 4), (Kind.ASK, 3), (Kind.CREDIT, 3)]

    async def test_who_leaves_takes_back_all_that_was_said_of_a_late_request(self) -> None:
        async with tapped() as (real, channel, line):
            line.faults.delay("a", 60)
            channel.put(message(Kind.ASK, id=3))
            channel.put(Frame(Kind.CREDIT, flags=Flag.OF_STREAM, id=3, detail=1))
            channel.put(Frame(Kind.CANCEL, id=3))
            await line.wait_nothing_held()
            assert real.frames == []


class TestACut:
    async def test_ends_who_reads(self) -> None:
        async with tapped() as (real, channel, line), anyio.create_task_group() as tasks:
            tasks.start_soon(self.read_and_close, channel)
            await anyio.wait_all_tasks_blocked()
            await line.cut()
            assert real.is_closed

    @staticmethod
    async def read_and_close(channel: TappedChannel) -> None:
        with pytest.raises(ConnectionLostError, match="the test has cut"):
            await heard(channel)
        channel.close()

    async def test_takes_what_was_not_read(self) -> None:
        async with tapped() as (real, channel, _):
            real.say(Frame(Kind.PONG))
            channel.cut()
            with pytest.raises(ConnectionLostError):
                await heard(channel)

    async def test_takes_what_is_held_back(self) -> None:
        async with tapped() as (real, channel, line):
            line.faults.delay("a", 60)
            channel.put(message())
            channel.cut()
            channel.close()
            channel.put(message())
            await line.wait_nothing_held()
            assert real.frames == []

    async def test_of_no_connection_is_nothing(self) -> None:
        with anyio.fail_after(5):
            await Line(Faults()).cut()

    async def test_a_blocked_line_opens_nothing_until_it_is_unblocked(self) -> None:
        line, real = Line(Faults()), Closable()

        async def opener() -> Channel:
            return real

        async def connect() -> None:
            await line.around(opener)()

        line.block()
        assert line.is_blocked
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(connect)
                await anyio.wait_all_tasks_blocked()
                assert line.channel is None
                line.unblock()
            assert line.channel is not None

    async def test_one_that_was_being_made_when_it_was_blocked_does_not_come_about(self) -> None:
        line, real, later = Line(Faults()), Closable(), Closable()
        channels, opening, go_on = [later, real], anyio.Event(), anyio.Event()

        async def open_channel() -> None:
            await line.around(opener)()

        async def opener() -> Channel:
            opening.set()
            await go_on.wait()
            return channels.pop()

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(open_channel)
                await opening.wait()
                line.block()
                line.block()
                go_on.set()
                while not real.is_closed:
                    await anyio.lowlevel.checkpoint()
                line.unblock()
                await anyio.wait_all_tasks_blocked()
                # Two kept it cut.
                assert line.is_blocked
                assert line.channel is None
                line.unblock()
        assert isinstance(line.channel, TappedChannel)
        assert not later.is_closed
