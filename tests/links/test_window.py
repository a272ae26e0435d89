"""The publish window: bytes under way, and who waits for them."""

import anyio
import pytest

from cqrsbus.links.window import Window

pytestmark = pytest.mark.anyio


def test_it_is_closed_until_a_connection_says_how_large_it_is() -> None:
    window = Window()
    assert not window.is_open
    window.reset(10)
    assert window.is_open


def test_the_last_event_may_exceed_it_and_credit_opens_it() -> None:
    window = Window()
    window.reset(10)
    window.use(9)
    assert window.is_open
    window.use(100)
    assert not window.is_open
    window.credit(99)
    assert not window.is_open
    window.credit(1)
    assert window.is_open


def test_no_credit_makes_it_larger_than_it_is() -> None:
    window = Window()
    window.reset(10)
    window.credit(1000)
    window.use(10)
    assert not window.is_open


@pytest.mark.parametrize("change", ["credit", "reset"])
async def test_every_change_wakes_everybody_who_waits(change: str) -> None:
    window, woken = Window(), list[int]()

    async def wait(number: int) -> None:
        await window.wait_open()
        woken.append(number)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(wait, number)
            await anyio.wait_all_tasks_blocked()
            assert not woken
            window.credit(1) if change == "credit" else window.reset(0)
    assert sorted(woken) == [0, 1, 2]
