"""How long a call may take."""

import math
from collections.abc import Awaitable
from typing import Final, TypeVar

import anyio

from cqrsbus.bus.context import deadline_here
from cqrsbus.errors import DeadlineExceededError

T = TypeVar("T")

DEFAULT_TIMEOUT: Final = 3.0
#: What travels is whole milliseconds, rounded down at each hop: word of a deadline may come so many seconds before it.
EARLY: Final = 0.01
#: An event loop's timers are not exact, and it may be busy: a scope may end so many seconds after its deadline.
LATE: Final = 0.1


def time_left(timeout: float | None, deadline: float | None = None) -> float | None:
    """The tightest of a call's timeout and deadline, its caller's cancel scope, and the message being handled.

    Args:
        timeout: Seconds; None for no limit.
        deadline: When it is over in any case, on the clock of ``anyio.current_time()`` (seconds); None for no limit.

    Returns:
        Seconds, at least 0; None for no limit.
    """
    until = anyio.current_effective_deadline()
    if deadline is not None and deadline < until:
        until = deadline
    inherited = deadline_here()
    if inherited is not None and inherited < until:
        until = inherited
    # Most calls are under no deadline but their own, and need not know the time.
    if until != math.inf:
        left = until - anyio.current_time()
        if timeout is None or left < timeout:
            timeout = left
    return None if timeout is None or timeout == math.inf else max(0.0, timeout)


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
