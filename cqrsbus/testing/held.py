"""Messages that a fault holds back on their way to the broker."""

from collections.abc import Callable

import anyio

from cqrsbus.alarm import Alarm
from cqrsbus.wire.frames import Frame, Kind


class Held:
    """Holds each message until it is due; those of one topic stay in order."""

    def __init__(self) -> None:
        self._frames: list[tuple[float, Frame]] = []
        self._alarm = Alarm()
        self._empty = anyio.Event()
        self._empty.set()

    def __bool__(self) -> bool:
        return bool(self._frames)

    def holds(self, topic: str) -> bool:
        """Whether messages to this topic are held back."""
        return any(frame.topic == topic for _, frame in self._frames)

    def add(self, frame: Frame, seconds: float) -> None:
        """Hold a message back, and never less than one before it on the same topic."""
        due = max([anyio.current_time() + seconds, *(due for due, held in self._frames if held.topic == frame.topic)])
        self._frames.append((due, frame))
        if self._empty.is_set():
            self._empty = anyio.Event()
        self._alarm.bring_forward(due)

    def add_behind(self, frame: Frame) -> bool:
        """Hold back what is said of a request, for as long as that is held; returns whether it is."""
        due = next((due for due, held in self._frames if held.kind == Kind.ASK and held.id == frame.id), None)
        if due is not None:
            self._frames.append((due, frame))
        return due is not None

    def remove(self, id: int) -> bool:
        """Forget the request of this number, whose caller has left; returns whether it was held."""
        kept = [(due, frame) for due, frame in self._frames if frame.kind == Kind.PUBLISH or frame.id != id]
        removed = len(kept) < len(self._frames)
        self._keep(kept)
        return removed

    def clear(self) -> None:
        """Forget them all."""
        self._keep([])

    async def wait_empty(self) -> None:
        """Wait until none is held."""
        await self._empty.wait()

    async def release(self, pass_on: Callable[[Frame], None]) -> None:
        """Pass on what is due, until cancelled."""
        while True:
            await self._alarm.sleep_until(min((due for due, _ in self._frames), default=None))
            now = anyio.current_time()
            # However late this is, they come in the order in which they were due.
            ready = sorted((held for held in self._frames if held[0] <= now), key=lambda held: held[0])
            self._keep([(due, frame) for due, frame in self._frames if due > now])
            for _, frame in ready:
                pass_on(frame)

    def _keep(self, frames: list[tuple[float, Frame]]) -> None:
        self._frames = frames
        if not self._frames:
            self._empty.set()
