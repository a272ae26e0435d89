"""The tasks behind an object that is used with ``async with``.

A plain task group would wrap whatever the body raises into an ExceptionGroup, and so give its user exceptions
that ``except NoHandlerError`` does not catch. Here the body's exception leaves as it is, and the tasks, which
exist for the body's sake, are cancelled when the body ends. A task that fails cancels the body, and its exception
leaves by itself unless there are several.
"""

from types import TracebackType

import anyio
from anyio.abc import TaskGroup


class Background:
    """An async context manager around a task group; see the module."""

    def __init__(self) -> None:
        self._tasks: TaskGroup = anyio.create_task_group()

    async def __aenter__(self) -> TaskGroup:
        await self._tasks.__aenter__()
        return self._tasks

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        # Cancellation may be the tasks' own, which only their group can tell.
        cancelled = isinstance(exc, anyio.get_cancelled_exc_class())
        if not cancelled:
            self._tasks.cancel_scope.cancel()
        try:
            ended = await self._tasks.__aexit__(*((exc_type, exc, traceback) if cancelled else (None, None, None)))
        except BaseExceptionGroup as group:
            failure, *others = group.exceptions
            if others:
                raise
            raise failure from failure.__cause__
        except BaseException as same:
            # An exit stack would make what is raised again its own context, and whoever follows that never ends.
            if same is exc:
                return False
            # Who is cancelled from outside on the way out will be so again; what the body raised is told only now.
            if exc is not None and not cancelled and isinstance(same, anyio.get_cancelled_exc_class()):
                return False
            raise
        # Without the body's exception, what the group speaks of is the cancellation we made.
        return ended if cancelled else None
