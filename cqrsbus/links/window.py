"""The publish window: how many bytes of events may be under way before a publisher waits."""

from collections.abc import Awaitable

import anyio


class Window:
    """Counts what was published and not yet credited by the broker."""

    def __init__(self) -> None:
        self._size = 0
        self._used = 0
        self._opened = anyio.Event()

    @property
    def is_open(self) -> bool:
        """Whether one more event may be published."""
        return self._used < self._size

    def reset(self, size: int) -> None:
        """A connection begins (bytes it allows) or ends (0)."""
        self._size = size
        self._used = 0
        self._wake()

    def use(self, size: int) -> None:
        """Count a published event; the last one may exceed the window."""
        self._used += size

    def credit(self, size: int) -> None:
        """The broker has done with this many bytes."""
        self._used = max(0, self._used - size)
        self._wake()

    def wait_open(self) -> Awaitable[None]:
        """Wait for the window to change; the caller looks again."""
        return self._opened.wait()

    def _wake(self) -> None:
        self._opened.set()
        self._opened = anyio.Event()
