"""How an operation that need not wait is still a checkpoint, at a bearable price.

A full checkpoint is a turn of the event loop, dearer than the whole system call that it would accompany. So an
operation first asks whether its task is cancelled, which is cheap, and only every 16th one that could go ahead
lets the other tasks run. With chunks of 64 KiB that is a turn for each MiB: a busy stream keeps others waiting for
well under a millisecond. The check comes before the work, so a cancelled operation has done nothing.
"""

from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

#: How many operations may go ahead before the other tasks get a turn.
OPERATIONS_PER_TURN = 16


class Pace:
    """Counts the operations of one direction of one stream."""

    __slots__ = ("_streak",)

    def __init__(self) -> None:
        self._streak = 0

    async def step(self) -> None:
        """Notice a cancellation, and now and then let the other tasks run."""
        self._streak += 1
        if self._streak < OPERATIONS_PER_TURN:
            await checkpoint_if_cancelled()
        else:
            self._streak = 0
            await checkpoint()

    def waited(self) -> None:
        """Note that the other tasks just had their turn."""
        self._streak = 0
