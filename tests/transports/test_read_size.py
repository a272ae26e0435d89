"""How much is asked for follows what comes."""

import pytest

from cqrsbus.transports.port import CHUNK_BYTES
from cqrsbus.transports.read_size import ReadSize
from cqrsbus.wire.reader import LONGEST_READ


def sizes(*received: int) -> list[int]:
    """What was asked for, read by read."""
    read_size, asked = ReadSize(), list[int]()
    for size in received:
        asked.append(read_size.size)
        read_size.received(min(size, read_size.size))
    return [*asked, read_size.size]


def test_what_fills_a_read_makes_the_next_one_larger_up_to_the_longest() -> None:
    assert sizes(*[LONGEST_READ] * 4) == [CHUNK_BYTES, 2 * CHUNK_BYTES, 4 * CHUNK_BYTES, *[LONGEST_READ] * 2]


@pytest.mark.parametrize("size", [1, CHUNK_BYTES - 1])
def test_what_is_small_is_asked_for_as_ever(size: int) -> None:
    assert set(sizes(*[size] * 5)) == {CHUNK_BYTES}


def test_a_little_more_than_the_usual_is_received_in_one_go() -> None:
    assert sizes(*[CHUNK_BYTES + 100] * 4) == [CHUNK_BYTES, *[2 * CHUNK_BYTES] * 4]


def test_two_small_reads_in_a_row_make_the_next_one_smaller() -> None:
    assert sizes(2 * CHUNK_BYTES, 9, 9, 9) == [CHUNK_BYTES, *[2 * CHUNK_BYTES] * 2, *[CHUNK_BYTES] * 2]


def test_a_small_read_now_and_then_does_not() -> None:
    large = CHUNK_BYTES + 1
    assert set(sizes(large, *[9, large] * 4)[1:]) == {2 * CHUNK_BYTES}


def test_it_comes_back_from_the_longest() -> None:
    assert sizes(*[LONGEST_READ] * 2, *[9] * 6)[-1] == CHUNK_BYTES
