"""Open calls: each ends exactly once, what comes later is counted, and places are given on."""

import math
import sys

import anyio
import pytest

from cqrsbus import ConnectionLostError, DeadlineExceededError, DeliveryUnknownError, NoHandlerError
from cqrsbus.errors import Code
from cqrsbus.links.call import Verb
from cqrsbus.links.call_waits import let_time_pass, wait_place
from cqrsbus.links.calls import OpenCalls
from cqrsbus.wire.frames import Flag, Frame, Kind
from tests.links.channels import outcome

pytestmark = pytest.mark.anyio


async def test_the_first_end_counts() -> None:
    calls = OpenCalls()
    call = calls.open(Verb.ASK, "t", timeout=1, deadline=math.inf)
    answer = Frame(Kind.REPLY, id=call.id)
    call.answer(answer)
    call.fail(NoHandlerError())
    call.lose("lost")
    assert call.expire(0.0) is None
    assert await outcome(call) is answer
    calls.close(call)
    assert len(calls) == 0


async def test_of_two_answers_the_first_counts() -> None:
    call = OpenCalls().open(Verb.ASK, "t", timeout=1, deadline=math.inf)
    first = Frame(Kind.REPLY, id=call.id)
    call.answer(first)
    call.answer(Frame(Kind.REPLY, id=call.id))
    call.answer(Frame(Kind.REPLY, id=call.id, flags=Flag.FAILED, detail=Code.REMOTE_ERROR))
    assert await outcome(call) is first


async def test_an_error_is_not_replaced_by_an_answer() -> None:
    call = OpenCalls().open(Verb.ASK, "t", timeout=1, deadline=math.inf)
    call.fail(NoHandlerError())
    call.answer(Frame(Kind.REPLY, id=call.id))
    with pytest.raises(NoHandlerError):
        await outcome(call)


async def test_nothing_of_a_call_outlives_it() -> None:
    """Though its deadline is far off, and others are open."""
    calls = OpenCalls()
    calls.open(Verb.ASK, "t", timeout=None, deadline=anyio.current_time() + 1000)
    call = calls.open(Verb.ASK, "t", timeout=None, deadline=anyio.current_time() + 2000)
    answer = Frame(Kind.REPLY, id=call.id)
    ours = sys.getrefcount(answer)
    call.answer(answer)
    assert sys.getrefcount(answer) > ours
    assert await outcome(call) is answer
    calls.close(call)
    del call
    assert sys.getrefcount(answer) == ours


async def test_what_comes_for_a_closed_call_is_late_and_counted() -> None:
    calls = OpenCalls()
    call = calls.open(Verb.ASK, "t", timeout=None, deadline=math.inf)
    assert calls.find(call.id) is call
    calls.close(call)
    assert calls.find(call.id) is None
    assert calls.late == 1


@pytest.mark.parametrize(
    ("verb", "late", "lost"),
    [
        (Verb.ASK, DeadlineExceededError, ConnectionLostError),
        (Verb.SUBSCRIBE, DeadlineExceededError, ConnectionLostError),
        (Verb.SEND, DeliveryUnknownError, DeliveryUnknownError),
    ],
)
async def test_what_a_missing_answer_means(verb: Verb, late: type[Exception], lost: type[Exception]) -> None:
    calls = OpenCalls()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(let_time_pass, calls)
            expiring = calls.open(verb, "t", timeout=0.01, deadline=anyio.current_time() + 0.01)
            with pytest.raises(late, match=r"0\.01 s") as caught:
                await outcome(expiring)
            assert type(caught.value) is late
            tasks.cancel_scope.cancel()
    losing = calls.open(verb, "t", timeout=None, deadline=math.inf)
    calls.lose_all("gone")
    with pytest.raises(lost, match="gone") as caught_too:
        await outcome(losing)
    assert type(caught_too.value) is lost
    assert len(calls) == 0


async def test_a_place_goes_to_who_has_waited_longest_and_is_given_on_by_who_leaves() -> None:
    calls, order, scope = OpenCalls(), list[str](), anyio.CancelScope()
    calls.most = 1
    first = calls.open(Verb.ASK, "t", timeout=None, deadline=math.inf)

    async def wait(name: str) -> None:
        await wait_place(calls)
        order.append(name)
        calls.close(calls.open(Verb.ASK, name, timeout=None, deadline=math.inf))

    async def leave() -> None:
        with scope:
            await wait("leaving")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for task in (leave, lambda: wait("second")):
                tasks.start_soon(task)
                await anyio.wait_all_tasks_blocked()
            # The place is offered to the one who leaves at the same time.
            calls.close(first)
            scope.cancel()
    # Whether the one who leaves still had its turn is up to the event loop.
    assert order[-1] == "second"


async def test_nobody_takes_a_place_that_was_offered_to_another() -> None:
    calls, order = OpenCalls(), list[str]()
    calls.most = 1
    first = calls.open(Verb.ASK, "t", timeout=None, deadline=math.inf)

    async def wait(name: str) -> None:
        await wait_place(calls)
        order.append(name)
        calls.close(calls.open(Verb.ASK, name, timeout=None, deadline=math.inf))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for name in ("second", "third"):
                tasks.start_soon(wait, name)
                await anyio.wait_all_tasks_blocked()
            calls.close(first)
            # The place is free, and the one who is to have it has not run yet.
            assert calls.is_full
            await wait("late")
    assert order == ["second", "third", "late"]
    assert not calls.is_full


async def test_a_place_that_is_not_used_can_be_offered_again() -> None:
    calls, waited = OpenCalls(), anyio.Event()
    calls.most = 1
    first = calls.open(Verb.ASK, "t", timeout=None, deadline=math.inf)

    async def wait_for_nothing() -> None:
        await wait_place(calls)
        calls.offer_place()

    async def wait() -> None:
        await wait_place(calls)
        waited.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for task in (wait_for_nothing, wait):
                tasks.start_soon(task)
                await anyio.wait_all_tasks_blocked()
            calls.close(first)
            await waited.wait()


async def test_the_loss_of_all_frees_all_places() -> None:
    calls, waited = OpenCalls(), anyio.Event()
    calls.most = 1
    calls.open(Verb.ASK, "t", timeout=None, deadline=math.inf)

    async def wait() -> None:
        await wait_place(calls)
        waited.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            calls.lose_all("gone")
            await waited.wait()
