"""Listening: frames are given as they come, the end and every failure are raised where it is awaited."""

import time
from collections.abc import AsyncIterator

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cqrsbus.errors import ProtocolError
from cqrsbus.native import asyncio_loop
from cqrsbus.transports import connect, listen
from cqrsbus.transports.frame_io import FRAMES_PER_LOOK, SECONDS_PER_TURN
from cqrsbus.transports.framed import FramedStream
from cqrsbus.transports.port import ByteStream, Watchable
from cqrsbus.wire.connection import PREAMBLE, Connection, Role
from cqrsbus.wire.frames import Frame, Kind

pytestmark = pytest.mark.anyio

WELCOME = Frame(Kind.WELCOME)
Ends = tuple[FramedStream, ByteStream]


def ping(number: int) -> Frame:
    return Frame(Kind.PING, id=number)


@pytest.fixture(params=["tcp://127.0.0.1:0", "memory:listening"])
async def ends(request: pytest.FixtureRequest) -> AsyncIterator[Ends]:
    """A framed stream, which the loop may watch or not, and the plain one at its other end."""
    listener = await listen(request.param)
    here = await connect(listener.url)
    there = await listener.accept()
    connection = Connection(Role.CLIENT, max_frame=65536, max_header=4096)
    yield FramedStream(here, connection, write_timeout=5), there
    for each in (here, there, listener):
        each.close()


class Listener:
    """Keeps what it hears, and goes on as long as it is told to."""

    def __init__(self, most: int = 1000) -> None:
        self.heard: list[Frame] = []
        self._most = most

    def consume(self, frames: list[Frame]) -> bool:
        self.heard += frames
        return len(self.heard) < self._most

    async def until(self, count: int) -> None:
        while len(self.heard) < count:
            await checkpoint()


async def test_frames_are_given_as_they_come_until_the_end(ends: Ends) -> None:
    framed, there = ends
    listener = Listener()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(framed.listen, listener.consume)
            await there.send(PREAMBLE + WELCOME.encode() + ping(1).encode()[:7])
            await listener.until(1)
            await there.send(ping(1).encode()[7:] + ping(2).encode())
            await listener.until(3)
            there.send_eof()
    assert listener.heard == [WELCOME, ping(1), ping(2)]
    assert framed.ended


async def test_only_where_the_loop_watches_sockets_no_task_is_woken(ends: Ends) -> None:
    framed, there = ends
    watches = asyncio_loop() is not None and isinstance(framed._stream, Watchable)
    by_task: list[bool] = []

    def consume(_: list[Frame]) -> bool:
        try:
            by_task.append(anyio.get_current_task() is not None)
        except (RuntimeError, LookupError, AttributeError):
            by_task.append(False)
        return False

    with anyio.fail_after(5):
        await there.send(PREAMBLE + WELCOME.encode())
        await framed.listen(consume)
    assert by_task == [not watches]


async def test_who_has_heard_enough_leaves_the_rest(ends: Ends) -> None:
    framed, there = ends
    first, second = Listener(most=1), Listener(most=1)
    with anyio.fail_after(5):
        await there.send(PREAMBLE + WELCOME.encode())
        await framed.listen(first.consume)
        await there.send(ping(1).encode())
        await anyio.wait_all_tasks_blocked()
        assert first.heard == [WELCOME]
        await framed.listen(second.consume)
    assert second.heard == [ping(1)]


async def test_a_broken_protocol_comes_behind_what_came_before_it(ends: Ends) -> None:
    framed, there = ends
    listener = Listener()
    with anyio.fail_after(5):
        await there.send(PREAMBLE + WELCOME.encode() + ping(1).encode() + Frame(Kind.HELLO).encode())
        for _ in range(2):
            with pytest.raises(ProtocolError, match="HELLO"):
                await framed.listen(listener.consume)
    assert listener.heard == [WELCOME, ping(1)]


async def test_an_end_in_the_middle_of_a_frame(ends: Ends) -> None:
    framed, there = ends
    with anyio.fail_after(5):
        await there.send(PREAMBLE + WELCOME.encode()[:-1])
        there.send_eof()
        with pytest.raises(ProtocolError, match="middle"):
            await framed.listen(Listener().consume)


async def test_what_the_function_raises_is_raised(ends: Ends) -> None:
    framed, there = ends

    def consume(_: list[Frame]) -> bool:
        raise LookupError("not mine")

    with anyio.fail_after(5):
        await there.send(PREAMBLE + WELCOME.encode())
        with pytest.raises(LookupError, match="not mine"):
            await framed.listen(consume)
        await there.send(ping(1).encode())
        listener = Listener(most=1)
        await framed.listen(listener.consume)
    assert listener.heard == [ping(1)]


async def test_closing_ends_it(ends: Ends) -> None:
    framed, _ = ends
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_expect_closed, framed)
            await anyio.wait_all_tasks_blocked()
            framed.close()


async def _expect_closed(framed: FramedStream) -> None:
    with pytest.raises(anyio.ClosedResourceError):
        await framed.listen(Listener().consume)


async def test_who_is_cancelled_loses_nothing(ends: Ends) -> None:
    framed, there = ends
    listener = Listener(most=2)
    with anyio.fail_after(5):
        with anyio.move_on_after(0):
            await framed.listen(listener.consume)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(framed.listen, listener.consume)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        await there.send(PREAMBLE + WELCOME.encode() + ping(1).encode())
        await anyio.wait_all_tasks_blocked()
        assert listener.heard == []
        await framed.listen(listener.consume)
    assert listener.heard == [WELCOME, ping(1)]


async def test_the_function_may_cancel_who_listens(ends: Ends) -> None:
    framed, there = ends
    heard: list[Frame] = []
    with anyio.fail_after(5):
        with anyio.CancelScope() as scope:

            def consume(frames: list[Frame]) -> bool:
                heard.extend(frames)
                scope.cancel()
                return False

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(there.send, PREAMBLE + WELCOME.encode())
                await framed.listen(consume)
                await checkpoint()
        assert scope.cancelled_caught
    assert heard == [WELCOME]


class Slow(Listener):
    """Takes longer than a turn for whatever it hears, and notes what others were at by then."""

    def __init__(self, most: int = 1000) -> None:
        super().__init__(most)
        self.turns = 0
        self.turns_before: list[int] = []

    def consume(self, frames: list[Frame]) -> bool:
        self.turns_before.append(self.turns)
        time.sleep(1.1 * SECONDS_PER_TURN)
        return super().consume(frames)

    async def count_turns(self) -> None:
        while True:
            self.turns += 1
            await checkpoint()


MANY = [ping(number) for number in range(1, 3 * FRAMES_PER_LOOK + 2)]


def encoded(frames: list[Frame]) -> bytes:
    return b"".join(frame.encode() for frame in frames)


async def test_others_have_their_turn_between_frames_that_take_long(ends: Ends) -> None:
    framed, there = ends
    slow = Slow(most=len(MANY) + 1)
    with anyio.fail_after(5):
        await there.send(PREAMBLE + WELCOME.encode() + encoded(MANY))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(slow.count_turns)
            await framed.listen(slow.consume)
            tasks.cancel_scope.cancel()
    assert slow.heard == [WELCOME, *MANY]
    assert len(slow.turns_before) == 4
    # In which order the tasks of a turn run is up to the event loop.
    assert all(turns >= number - 1 for number, turns in enumerate(slow.turns_before))


@pytest.mark.parametrize("leaving", ["told", "cancelled"])
async def test_what_was_put_off_is_there_for_who_listens_next(ends: Ends, leaving: str) -> None:
    framed, there = ends
    first, second = Slow(most=1 if leaving == "told" else 1000), Listener()
    with anyio.fail_after(5):
        await there.send(PREAMBLE + WELCOME.encode() + encoded(MANY))
        async with anyio.create_task_group() as tasks:
            if leaving == "told":
                await framed.listen(first.consume)
            else:
                tasks.start_soon(framed.listen, first.consume)
                await first.until(1)
            tasks.cancel_scope.cancel()
        heard = first.heard.copy()
        assert 1 < len(heard) < len(MANY)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(framed.listen, second.consume)
            await second.until(len(MANY) + 1 - len(heard))
            tasks.cancel_scope.cancel()
    assert heard == first.heard
    assert [*heard, *second.heard] == [WELCOME, *MANY]


@pytest.mark.parametrize("end", ["broken", "over"])
async def test_the_end_comes_behind_what_was_put_off(ends: Ends, end: str) -> None:
    framed, there = ends
    slow = Slow()
    with anyio.fail_after(5):
        await there.send(PREAMBLE + WELCOME.encode() + encoded(MANY))
        if end == "broken":
            await there.send(Frame(Kind.HELLO).encode())
            with pytest.raises(ProtocolError, match="HELLO"):
                await framed.listen(slow.consume)
        else:
            there.send_eof()
            await framed.listen(slow.consume)
    assert slow.heard == [WELCOME, *MANY]
