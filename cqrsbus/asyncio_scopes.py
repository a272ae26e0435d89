"""The deadline of anyio's cancel scopes around a task of asyncio, found where anyio keeps them.

Every call asks for it, and to ask anyio takes a sixth of what an ask costs its caller. What anyio keeps of its tasks
and scopes is none of its public promises, though. So the rule is: who wants to look there has it compared first with
what anyio says, in scopes of every kind, and asks anyio where the two do not agree.
"""

import math
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from weakref import ref

import anyio

#: Seconds; scopes that are only looked at never come to their end.
_FAR: float = 3600.0


class AsyncioScopes:
    """The cancel scopes of the tasks of one event loop.

    Args:
        loop: The event loop, of asyncio or uvloop.
        current_task: Tells the task that runs in a loop.
        states: What anyio keeps of each task, by a weak reference to it.
    """

    __slots__ = ("_current_task", "_loop", "_states")

    def __init__(self, loop: Any, current_task: Callable[[Any], Any], states: dict[Any, Any]) -> None:
        self._loop = loop
        # Told the loop, it need not find out which one runs, which is a system call on some versions of Python.
        self._current_task = current_task
        self._states = states

    def deadline(self) -> float:
        """The deadline that holds for the current task, as ``anyio.current_effective_deadline()`` says it."""
        task = self._current_task(self._loop)
        state = None if task is None else self._states.get(ref(task))
        scope: Any = None if state is None else state.cancel_scope
        earliest = math.inf
        while scope is not None:
            deadline: float = scope._deadline
            if deadline < earliest:
                earliest = deadline
            if scope._cancel_called:
                return -math.inf
            if scope._shield:
                break
            scope = scope._parent_scope
        return earliest


def agree(first: Callable[[], float], second: Callable[[], float], now: float) -> bool:
    """Return whether both say the same of the current task, in scopes of every kind.

    Args:
        first: Tells the deadline that holds for the current task.
        second: Likewise.
        now: The time on anyio's clock.
    """
    try:
        return all(one == other == expected for one, other, expected in _said(first, second, now))
    except (AttributeError, LookupError, TypeError):
        return False


def _said(first: Callable[[], float], second: Callable[[], float], now: float) -> list[tuple[float, float, float]]:
    """What both say here and in scopes of every kind, and what they are to say. Nothing is awaited in the scopes."""
    said = [(first(), second(), second())]
    with ExitStack() as scopes:
        outer = scopes.enter_context(anyio.CancelScope(deadline=now + 2 * _FAR, shield=True))
        said.append((first(), second(), outer.deadline))
        inner = scopes.enter_context(anyio.CancelScope(deadline=now + _FAR))
        said.append((first(), second(), inner.deadline))
        inner.deadline = now + 3 * _FAR
        said.append((first(), second(), outer.deadline))
        scopes.enter_context(anyio.CancelScope())
        inner.cancel()
        said.append((first(), second(), -math.inf))
    return said
