"""What every transport promises of its streams, run over each of them on each backend."""

import anyio
import pytest
from anyio import fail_after, wait_all_tasks_blocked
from anyio.lowlevel import current_token

from cqrsbus.transports import ByteStream
from cqrsbus.transports.port import MOST_BUFFERS
from tests.transports.exchange import MORE_THAN_FITS, Pair, noise, receive_exactly, receive_to_the_end, send_without_end

pytestmark = pytest.mark.anyio


async def test_the_backend_is_the_one_asked_for(
    pair: Pair, anyio_backend_name: str, anyio_backend_options: dict[str, bool]
) -> None:
    here, there = pair
    await here.send(b"x")
    assert await there.receive() == b"x"
    loop = type(current_token().native_token).__module__.partition(".")[0]
    expected = "uvloop" if anyio_backend_options.get("use_uvloop") else anyio_backend_name
    assert loop == expected


# --- bytes arrive whole and in order ---------------------------------------------------------------------------------


@pytest.mark.parametrize("send_size", [1, 7, 1000, 65536, 200_000])
@pytest.mark.parametrize("receive_size", [1, 11, 4096, 65536, 1_000_000])
async def test_bytes_arrive_whole_and_in_order(pair: Pair, send_size: int, receive_size: int) -> None:
    here, there = pair
    data = noise(min(send_size, receive_size) * 500 + 3)

    async def send() -> None:
        for start in range(0, len(data), send_size):
            await here.send(data[start : start + send_size])
        here.send_eof()

    got = bytearray()
    with fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            while chunk := await there.receive(receive_size):
                assert len(chunk) <= receive_size
                got += chunk
    assert got == data


async def test_both_directions_at_once(pair: Pair) -> None:
    size = 8 * 1024 * 1024
    up, down = noise(size), noise(size + 1)
    got: dict[str, bytes] = {}

    async def collect(name: str, stream: ByteStream, expected: int) -> None:
        got[name] = await receive_exactly(stream, expected)

    with fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pair[0].send, up)
            tasks.start_soon(pair[1].send, down)
            tasks.start_soon(collect, "up", pair[1], len(up))
            tasks.start_soon(collect, "down", pair[0], len(down))
    assert got["up"] == up
    assert got["down"] == down


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_every_kind_of_buffer_is_sent(pair: Pair, kind: type[bytes | bytearray]) -> None:
    here, there = pair
    with fail_after(5):
        assert here.send_nowait(kind(b"abc")) == 3
        await here.send(kind(b"def"))
        assert await receive_exactly(there, 6) == b"abcdef"


async def test_a_view_of_wider_items_is_sent_whole(pair: Pair) -> None:
    here, there = pair
    data = noise(MORE_THAN_FITS // 4)
    with fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.send, memoryview(data).cast("Q"))
            assert await receive_exactly(there, len(data)) == data


async def test_nothing_sent_is_nothing_received(pair: Pair) -> None:
    here, there = pair
    with fail_after(5):
        assert here.send_nowait(b"") == 0
        await here.send(b"")
        with pytest.raises(anyio.WouldBlock):
            there.receive_nowait()
        await here.send(b"y")
        assert await there.receive() == b"y"


async def test_receive_nowait_says_when_nothing_is_there(pair: Pair) -> None:
    here, there = pair
    with fail_after(5):
        with pytest.raises(anyio.WouldBlock):
            there.receive_nowait()
        await here.send(b"abc")
        assert await there.receive(1) == b"a"
        assert there.receive_nowait(1) == b"b"
        assert there.receive_nowait() == b"c"
        with pytest.raises(anyio.WouldBlock):
            there.receive_nowait()


@pytest.mark.parametrize("max_bytes", [0, -1])
async def test_max_bytes_must_be_positive(pair: Pair, max_bytes: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        pair[0].receive_nowait(max_bytes)
    with fail_after(5), pytest.raises(ValueError, match="at least 1"):
        await pair[0].receive(max_bytes)


async def test_several_buffers_are_sent_as_if_they_were_one(pair: Pair) -> None:
    here, there = pair
    data = noise(50_000)
    with fail_after(5):
        assert here.send_many_nowait([data[:10], b"", bytearray(data[10:999]), memoryview(data)[999:]]) == len(data)
        assert await receive_exactly(there, len(data)) == data


async def test_of_several_buffers_a_part_is_taken_when_there_is_little_room(pair: Pair) -> None:
    here, there = pair
    data, sent = noise(MORE_THAN_FITS), 0
    view = memoryview(data)
    buffers = [view[start : start + 999_999] for start in range(0, len(data), 999_999)]
    assert len(buffers) <= MOST_BUFFERS
    with fail_after(20):
        sent = here.send_many_nowait(buffers)
        assert 0 < sent < len(data)
        assert await receive_exactly(there, sent) == data[:sent]
        with pytest.raises(anyio.WouldBlock):
            there.receive_nowait()


async def test_several_buffers_keep_the_rules_of_one(pair: Pair) -> None:
    here, there = pair
    there.close()
    with fail_after(10):
        with pytest.raises(anyio.BrokenResourceError):
            await send_without_end(here)
        with pytest.raises(anyio.BrokenResourceError):
            here.send_many_nowait([b"x", b"y"])
        here.close()
        with pytest.raises(anyio.ClosedResourceError):
            here.send_many_nowait([b"x", b"y"])


async def test_several_buffers_wait_for_nobody_but_tell_who_sends_already(pair: Pair) -> None:
    here, _ = pair
    with fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.send, bytes(MORE_THAN_FITS))
            await wait_all_tasks_blocked()
            with pytest.raises(anyio.BusyResourceError):
                here.send_many_nowait([b"x", b"y"])
            tasks.cancel_scope.cancel()
    with pytest.raises(anyio.BrokenResourceError):
        here.send_many_nowait([b"x", b"y"])


# --- back-pressure ---------------------------------------------------------------------------------------------------


async def test_a_slow_reader_stops_the_sender(pair: Pair) -> None:
    here, there = pair
    data = noise(MORE_THAN_FITS)
    done = anyio.Event()

    async def send() -> None:
        await here.send(data)
        done.set()

    with fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            await wait_all_tasks_blocked()
            assert not done.is_set()
            assert await receive_exactly(there, len(data)) == data
            await done.wait()


async def test_send_nowait_takes_nothing_when_full_and_goes_on_later(pair: Pair) -> None:
    here, there = pair
    chunk = noise(65536)
    sent = 0
    while taken := here.send_nowait(chunk):
        sent += taken
        assert sent <= MORE_THAN_FITS
    with fail_after(10):
        assert len(await receive_exactly(there, sent)) == sent
        assert here.send_nowait(b"more") == 4
        assert await receive_exactly(there, 4) == b"more"


# --- the end ---------------------------------------------------------------------------------------------------------


async def test_data_before_the_end_is_received(pair: Pair) -> None:
    here, there = pair
    with fail_after(5):
        await here.send(b"last words")
        await here.aclose()
        assert await receive_to_the_end(there) == b"last words"
        assert await there.receive() == b""


async def test_receive_nowait_sees_the_end(pair: Pair) -> None:
    here, there = pair
    here.close()
    with fail_after(5):
        assert await there.receive() == b""
        assert there.receive_nowait() == b""


async def test_a_half_closed_peer_still_listens(pair: Pair) -> None:
    here, there = pair
    with fail_after(5):
        await here.send(b"question")
        here.send_eof()
        here.send_eof()
        assert await receive_to_the_end(there) == b"question"
        await there.send(b"answer")
        there.close()
        assert await receive_to_the_end(here) == b"answer"
        with pytest.raises(anyio.ClosedResourceError):
            await here.send(b"more")


async def test_the_end_wakes_a_waiting_receive(pair: Pair) -> None:
    here, there = pair
    got: list[bytes] = []

    async def receive() -> None:
        got.append(await there.receive())

    with fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            await wait_all_tasks_blocked()
            here.close()
    assert got == [b""]


async def test_sending_to_a_peer_that_left_breaks_and_stays_broken(pair: Pair) -> None:
    here, there = pair
    there.close()
    with fail_after(10):
        with pytest.raises(anyio.BrokenResourceError):
            await send_without_end(here)
        with pytest.raises(anyio.BrokenResourceError):
            await here.send(b"x")
        with pytest.raises(anyio.BrokenResourceError):
            here.send_nowait(b"x")


async def test_a_waiting_send_notices_that_the_peer_left(pair: Pair) -> None:
    here, there = pair
    with fail_after(10):
        async with anyio.create_task_group() as tasks:

            async def send() -> None:
                with pytest.raises(anyio.BrokenResourceError):
                    await here.send(bytes(MORE_THAN_FITS))

            tasks.start_soon(send)
            await wait_all_tasks_blocked()
            there.close()


async def test_last_words_are_heard_after_the_sending_side_broke(pair: Pair) -> None:
    here, there = pair
    await there.send(b"refused: too many")
    there.close()
    with fail_after(10):
        with pytest.raises(anyio.BrokenResourceError):
            await send_without_end(here)
        assert await here.receive() == b"refused: too many"


# --- closing ---------------------------------------------------------------------------------------------------------


async def test_a_closed_stream_says_so(pair: Pair) -> None:
    here, _ = pair
    with fail_after(5):
        await here.aclose()
        here.close()
        await here.aclose()
        with pytest.raises(anyio.ClosedResourceError):
            await here.receive()
        with pytest.raises(anyio.ClosedResourceError):
            here.receive_nowait()
        with pytest.raises(anyio.ClosedResourceError):
            await here.send(b"")
        with pytest.raises(anyio.ClosedResourceError):
            here.send_nowait(b"x")
        with pytest.raises(anyio.ClosedResourceError):
            here.send_eof()


async def test_closing_wakes_a_waiting_receive_and_a_waiting_send(pair: Pair) -> None:
    here, _ = pair

    async def receive() -> None:
        with pytest.raises(anyio.ClosedResourceError):
            await here.receive()

    async def send() -> None:
        with pytest.raises(anyio.ClosedResourceError):
            await here.send(bytes(MORE_THAN_FITS))

    with fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            tasks.start_soon(send)
            await wait_all_tasks_blocked()
            here.close()


async def test_a_cancelled_aclose_still_closes(pair: Pair) -> None:
    here, there = pair
    with anyio.CancelScope() as scope:
        scope.cancel()
        await here.aclose()
    with fail_after(5):
        assert await there.receive() == b""
    with pytest.raises(anyio.ClosedResourceError):
        here.send_nowait(b"x")
