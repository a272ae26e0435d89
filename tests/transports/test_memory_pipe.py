"""A memory pipe holds so much and no more, and never loses a wake-up."""

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrsbus.transports.memory_pipe import PIPE_BYTES, MemoryPipe

steps = st.lists(
    st.one_of(st.tuples(st.just("put"), st.binary(max_size=300)), st.tuples(st.just("take"), st.integers(1, 400)))
)


@given(steps)
def test_bytes_come_out_as_they_went_in(steps: list[tuple[str, bytes | int]]) -> None:
    pipe, went_in, came_out = MemoryPipe(), b"", b""
    for _, argument in steps:
        if isinstance(argument, bytes):
            went_in += argument[: pipe.put(argument)]
        else:
            came_out += pipe.take(argument) or b""
    assert came_out == went_in[: len(came_out)]
    pipe.finish()
    while chunk := pipe.take(7):
        came_out += chunk
    assert came_out == went_in


def test_it_holds_so_much_and_no_more() -> None:
    pipe = MemoryPipe()
    assert pipe.put(bytes(PIPE_BYTES - 1)) == PIPE_BYTES - 1
    assert pipe.put(b"ab") == 1
    assert pipe.put(b"b") == 0
    assert pipe.take(3) == b"\0\0\0"
    assert pipe.put(memoryview(b"abcdefgh").cast("Q")) == 3


def test_empty_and_ended_are_told_apart() -> None:
    pipe = MemoryPipe()
    assert pipe.take(1) is None
    pipe.put(b"x")
    pipe.finish()
    assert pipe.take(1) == b"x"
    assert pipe.take(1) == b""


@pytest.mark.anyio
@pytest.mark.parametrize("change", ["put", "take", "finish", "abandon"])
async def test_every_change_wakes_who_waits(change: str) -> None:
    pipe = MemoryPipe()
    pipe.put(b"x")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipe.changed)
            await anyio.wait_all_tasks_blocked()
            match change:
                case "put":
                    pipe.put(b"y")
                case "take":
                    pipe.take(1)
                case "finish":
                    pipe.finish()
                case _:
                    pipe.abandon()
