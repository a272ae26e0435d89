"""Messages that are held back until they are due."""

import anyio
import pytest

from cqrsbus.testing.held import Held
from cqrsbus.wire.frames import Frame, Kind

pytestmark = pytest.mark.anyio


def message(topic: str, id: int = 0, kind: Kind = Kind.SEND) -> Frame:
    return Frame.of(kind, topic=topic.encode(), id=id)


async def released(held: Held) -> list[int]:
    """What comes, in order, until nothing is held any more."""
    passed: list[int] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(held.release, lambda frame: passed.append(frame.id))
            await held.wait_empty()
            tasks.cancel_scope.cancel()
    return passed


async def test_the_earlier_one_comes_first() -> None:
    held = Held()
    held.add(message("a", 1), 0.5)
    held.add(message("b", 2), 0.01)
    assert await released(held) == [2, 1]
    assert not held


async def test_messages_of_one_topic_keep_their_order() -> None:
    held = Held()
    held.add(message("a", 1), 0.02)
    held.add(message("a", 2), 0.0)
    held.add(message("b", 3), 0.0)
    assert held.holds("a")
    assert not held.holds("c")
    assert await released(held) == [3, 1, 2]


async def test_they_come_in_the_order_in_which_they_were_due_even_if_all_are_late() -> None:
    held = Held()
    held.add(message("a", 1), -1.0)
    held.add(message("b", 2), -2.0)
    held.add(message("c", 3), -3.0)
    assert await released(held) == [3, 2, 1]


async def test_one_that_is_added_while_others_wait() -> None:
    held, passed = Held(), anyio.Event()

    def pass_on(frame: Frame) -> None:
        assert frame.id == 2
        passed.set()

    held.add(message("a", 1), 60)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(held.release, pass_on)
            await anyio.wait_all_tasks_blocked()
            held.add(message("b", 2), 0.01)
            await passed.wait()
            tasks.cancel_scope.cancel()
    assert held.holds("a")


async def test_a_request_whose_caller_has_left_is_forgotten() -> None:
    held = Held()
    held.add(message("a", 1, Kind.PUBLISH), 0)
    held.add(message("a", 1), 0)
    assert held.remove(1)
    assert not held.remove(1), "an event has no caller"
    assert await released(held) == [1]


async def test_nothing_held_is_nothing_to_wait_for() -> None:
    held = Held()
    with anyio.fail_after(5):
        await held.wait_empty()
        held.add(message("a"), 60)
        held.clear()
        await held.wait_empty()
    assert not held
