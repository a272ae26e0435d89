"""Which event loop runs here, for the few places where going through anyio costs more than the work itself.

Everything else uses anyio. What is here asks for the loop by what anyio says, not by what is imported or running: trio
may run as a guest of an asyncio loop.
"""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio
from anyio.lowlevel import current_token

from cqrsbus.asyncio_scopes import AsyncioScopes, agree

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop  # noqa: TID251  # only its type; see asyncio_loop()


def asyncio_loop() -> "AbstractEventLoop | None":
    """Return the event loop that runs the current task if it is one of asyncio's, uvloop included; else None.

    Raises:
        anyio.NoEventLoopError: There is no event loop.
    """
    cancelled = anyio.get_cancelled_exc_class()
    # On trio nobody may have imported asyncio, and that would take as long as all of us.
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or cancelled is not asyncio.CancelledError:
        return None
    loop: AbstractEventLoop = asyncio.get_running_loop()
    return loop


def trio_module() -> Any:
    """Return the module ``trio``, whose loop runs the current task where :func:`asyncio_loop` returned None."""
    # anyio knows no third one.
    return sys.modules["trio"]


def scope_deadline() -> Callable[[], float]:
    """Return what tells the deadline that holds for the current task, as anyio.current_effective_deadline() does.

    It is for what lives as long as the event loop and asks often: anyio looks up each time which loop it is.

    Raises:
        anyio.NoEventLoopError: There is no event loop.
    """
    loop = asyncio_loop()
    if loop is None:
        ask_trio: Callable[[], float] = trio_module().current_effective_deadline
        return ask_trio
    backend = current_token().backend_class
    ask_anyio: Callable[[], float] = backend.current_effective_deadline
    states = getattr(sys.modules[backend.__module__], "_task_states", None)
    scopes = AsyncioScopes(loop, sys.modules["asyncio"].current_task, getattr(states, "data", {}))
    return scopes.deadline if agree(scopes.deadline, ask_anyio, loop.time()) else ask_anyio


def clock() -> Callable[[], float]:
    """Return what tells the time of the event loop that runs the current task, as anyio.current_time() does.

    It is for what lives as long as that loop and asks often: anyio looks up each time which loop it is.

    Raises:
        anyio.NoEventLoopError: There is no event loop.
    """
    loop = asyncio_loop()
    tell: Callable[[], float] = trio_module().current_time if loop is None else loop.time
    return tell
