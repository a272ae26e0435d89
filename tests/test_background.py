"""What leaves ``async with Background()``: the body's exception, or else the task's, never wrapped and never lost."""

from contextlib import AsyncExitStack

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cqrsbus.background import Background

pytestmark = pytest.mark.anyio


class FromTheBodyError(Exception):
    pass


class FromATaskError(Exception):
    pass


async def _fail() -> None:
    raise FromATaskError


async def test_the_bodys_exception_leaves_as_it_is() -> None:
    async def body() -> None:
        async with Background() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            await checkpoint()
            raise FromTheBodyError

    with anyio.fail_after(5), pytest.raises(FromTheBodyError):
        await body()


async def test_without_any_task_too() -> None:
    with anyio.fail_after(5), pytest.raises(FromTheBodyError):
        async with Background():
            raise FromTheBodyError


async def test_the_tasks_are_cancelled_when_the_body_ends() -> None:
    ended = anyio.Event()

    async def task() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    with anyio.fail_after(5):
        async with Background() as tasks:
            tasks.start_soon(task)
            await anyio.wait_all_tasks_blocked()
    assert ended.is_set()


async def test_a_failing_task_cancels_the_body_and_its_exception_leaves_by_itself() -> None:
    async def body() -> None:
        async with Background() as tasks:
            tasks.start_soon(_fail)
            await anyio.sleep_forever()

    with anyio.fail_after(5), pytest.raises(FromATaskError):
        await body()


async def test_a_failing_task_is_heard_through_an_outer_one() -> None:
    async def body() -> None:
        async with Background() as outer:
            outer.start_soon(anyio.sleep_forever)
            async with Background() as inner:
                inner.start_soon(_fail)
                await anyio.sleep_forever()

    with anyio.fail_after(5), pytest.raises(FromATaskError):
        await body()


async def test_cancellation_from_outside_goes_through() -> None:
    with anyio.fail_after(5):
        with anyio.CancelScope() as scope:
            async with Background() as tasks:
                tasks.start_soon(anyio.sleep_forever)
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught


async def test_the_bodys_exception_is_not_lost_in_a_cancellation_on_its_way_out() -> None:
    left = anyio.Event()

    async def body() -> None:
        async with Background() as tasks:
            tasks.start_soon(_end_slowly)
            await checkpoint()
            left.set()
            raise FromTheBodyError

    async def _end_slowly() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.wait_all_tasks_blocked()

    async def catch() -> None:
        with pytest.raises(FromTheBodyError):
            await body()
        caught.append(True)

    caught = list[bool]()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as outer:
            outer.start_soon(catch)
            await left.wait()
            outer.cancel_scope.cancel()
    assert caught


async def test_several_failures_leave_together() -> None:
    async def fail_at_the_end() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise FromATaskError

    async def body() -> None:
        async with Background() as tasks:
            tasks.start_soon(fail_at_the_end)
            tasks.start_soon(fail_at_the_end)
            await anyio.wait_all_tasks_blocked()

    with anyio.fail_after(5), pytest.raises(ExceptionGroup) as caught:
        await body()
    assert len(caught.value.exceptions) == 2


async def test_a_cancelled_exit_stack_makes_no_exception_its_own_context() -> None:
    async def clean_up() -> None:
        await anyio.sleep_forever()

    async def in_a_stack() -> None:
        try:
            async with AsyncExitStack() as stack:
                tasks = await stack.enter_async_context(Background())
                tasks.start_soon(anyio.sleep_forever)
                stack.push_async_callback(clean_up)
                await anyio.sleep_forever()
        except BaseException as error:
            link: BaseException | None = error
            while link is not None and len(contexts) < 100:
                contexts.append(link)
                link = link.__context__
            raise

    contexts: list[BaseException] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(in_a_stack)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
    assert 0 < len(contexts) == len({id(context) for context in contexts})
