"""Which of the limits on a call's time is the tightest."""

import math

import anyio

from cqrsbus.bus.context import deadline_here


def tightest(timeout: float | None, scope_deadline: float, deadline: float | None = None) -> float | None:
    """The tightest of a call's timeout and deadline, its caller's cancel scope, and the message being handled.

    Args:
        timeout: Seconds; None for no limit.
        scope_deadline: What ``anyio.current_effective_deadline()`` says (seconds).
        deadline: When it is over in any case, on the clock of ``anyio.current_time()`` (seconds); None for no limit.

    Returns:
        Seconds, at least 0; None for no limit.
    """
    until = scope_deadline
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
