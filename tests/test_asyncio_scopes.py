"""Where anyio keeps its scopes is looked at only as long as it says what anyio says."""

import math
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint, current_token
from hypothesis import given
from hypothesis import strategies as st

from cqrsbus.asyncio_scopes import AsyncioScopes, agree
from cqrsbus.native import asyncio_loop, scope_deadline

#: A scope: seconds from now, whether it is a shield, and whether it is cancelled.
SCOPES = st.lists(st.tuples(st.integers(1000, 1010) | st.just(math.inf), st.booleans(), st.booleans()), max_size=6)


def _found() -> AsyncioScopes:
    import asyncio

    module = sys.modules[current_token().backend_class.__module__]
    return AsyncioScopes(asyncio.get_running_loop(), asyncio.current_task, module._task_states.data)


@given(SCOPES)
def test_it_says_what_anyio_says(scopes: list[tuple[float, bool, bool]]) -> None:
    async def main() -> None:
        found, now = _found(), anyio.current_time()
        with ExitStack() as stack:
            for seconds, shield, cancelled in scopes:
                scope = stack.enter_context(anyio.CancelScope(deadline=now + seconds, shield=shield))
                if cancelled:
                    scope.cancel()
                assert found.deadline() == anyio.current_effective_deadline()
        assert found.deadline() == anyio.current_effective_deadline() == math.inf

    anyio.run(main)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_a_task_inherits_the_scopes_of_its_group() -> None:
    found, seen = _found(), list[float]()

    async def child() -> None:
        await checkpoint()
        seen.extend((found.deadline(), anyio.current_effective_deadline()))

    with anyio.fail_after(1000) as outer:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)
    assert seen == [outer.deadline] * 2


def test_outside_of_anyio_there_are_none() -> None:
    import asyncio

    async def main() -> float:
        assert asyncio_loop() is not None
        return await asyncio.create_task(asyncio.to_thread(lambda: 0)) + scope_deadline()()

    assert asyncio.run(main()) == math.inf


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_outside_of_a_task_there_are_none() -> None:
    import asyncio

    found, seen, loop = _found(), list[float](), asyncio.get_running_loop()
    with anyio.fail_after(1000):
        loop.call_soon(lambda: seen.extend((found.deadline(), anyio.current_effective_deadline())))
        await checkpoint()
    assert seen == [math.inf] * 2


class _Wrong:
    """Says the wrong thing, once: when it is asked the nth time."""

    def __init__(self, right: Callable[[], float], nth: int) -> None:
        self._right = right
        self._left = nth

    def __call__(self) -> float:
        self._left -= 1
        return self._right() if self._left else 1.0


class _Elsewhere:
    """What anyio keeps of its tasks, in another way."""

    def __init__(self, module: Any) -> None:
        self._states = module._task_states

    def __getitem__(self, task: object) -> object:
        return self._states[task]

    def get(self, task: object) -> object:
        return self._states.get(task)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
class TestComparing:
    async def test_what_is_right(self) -> None:
        assert agree(_found().deadline, anyio.current_effective_deadline, anyio.current_time())
        # Nothing of it is left over.
        await checkpoint()
        assert anyio.current_effective_deadline() == math.inf

    @pytest.mark.parametrize("nth", range(1, 6))
    async def test_what_is_wrong_once(self, nth: int) -> None:
        wrong = _Wrong(_found().deadline, nth)
        assert not agree(wrong, anyio.current_effective_deadline, anyio.current_time())
        # No scope is left entered.
        assert anyio.current_effective_deadline() == math.inf
        await checkpoint()

    @pytest.mark.parametrize("states", [{}, {"a task": object()}], ids=["none", "others"])
    async def test_states_that_are_kept_elsewhere(self, states: dict[Any, Any]) -> None:
        import asyncio

        moved = AsyncioScopes(asyncio.get_running_loop(), asyncio.current_task, states)
        assert not agree(moved.deadline, anyio.current_effective_deadline, anyio.current_time())

    async def test_states_of_another_kind(self) -> None:
        import asyncio
        from weakref import ref

        task = asyncio.current_task()
        assert task is not None
        changed = AsyncioScopes(asyncio.get_running_loop(), asyncio.current_task, {ref(task): object()})
        assert not agree(changed.deadline, anyio.current_effective_deadline, anyio.current_time())
        assert anyio.current_effective_deadline() == math.inf

    async def test_scopes_that_keep_it_elsewhere(self) -> None:
        class Moved:
            def deadline(self) -> float:
                if anyio.current_effective_deadline() == math.inf:
                    return math.inf
                raise AttributeError("_deadline")

        assert not agree(Moved().deadline, anyio.current_effective_deadline, anyio.current_time())
        assert anyio.current_effective_deadline() == math.inf


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_an_anyio_that_keeps_them_elsewhere_is_asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = current_token().backend_class
    assert scope_deadline() != backend.current_effective_deadline
    monkeypatch.setattr(sys.modules[backend.__module__], "_task_states", _Elsewhere(sys.modules[backend.__module__]))
    assert scope_deadline() == backend.current_effective_deadline
