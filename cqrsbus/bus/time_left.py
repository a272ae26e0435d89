"""How long a call may take."""

from collections.abc import Awaitable
from typing import Final, TypeVar

import anyio

from cqrsbus.bus.tightest import tightest
from cqrsbus.errors import DeadlineExceededError

T = TypeVar("T")

DEFAULT_TIMEOUT: Final = 3.0
#: What travels is whole milliseconds, rounded down at each hop: word of a deadline may come so many seconds before it.
EARLY: Final = 0.01
#: An event loop's timers are not exact, and it may be busy: a scope may end so many seconds after its deadline.
LATE: Final = 0.1


def time_left(timeout: float | None, deadline: float | None = None) -> float | None:
    """How long a call that is made here may take: see :func:`cqrsbus.bus.tightest.tightest`."""
    return tightest(timeout, anyio.current_effective_deadline(), deadline)


async def scope_first() -> None:
    """Let the caller's own scope end what its deadline ended.

    Word from the broker that the time is over comes at the same moment. Who wrote ``move_on_after`` is to move on each
    time, and not to be told of it by an error now and then.
    """
    left = anyio.current_effective_deadline() - anyio.current_time()
    if left <= EARLY:
        # Cancelled here, unless the deadline is moved meanwhile.
        await anyio.sleep(max(0.0, left) + LATE)


async def scope_before_error(call: Awaitable[T]) -> T:
    """Await a call on the link whose own word of a deadline is to come after the caller's scope; see scope_first."""
    try:
        return await call
    except DeadlineExceededError:
        await scope_first()
        raise
