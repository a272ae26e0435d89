"""An open request that has several answers. Nothing here waits: see replies.py.

The rules:

1. Answers are kept until they are taken: as many as were paid for, or one for each instance.
2. What came before the end, be it an error or the loss of the connection, can still be taken; then the end is told.
"""

import math
from collections import deque

import anyio

from cqrsbus.errors import BusError, DeadlineExceededError
from cqrsbus.links.call import OpenCall, Verb
from cqrsbus.links.port import Instance
from cqrsbus.wire.failures import error_in
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.stamp import instance_of, sender_of


class RepliesCall(OpenCall):
    """An open request that has several answers."""

    __slots__ = ("_arrived", "_begun", "_ended", "_error", "_frames", "_started", "asked", "lasts_until", "worked_on")

    def __init__(self, id: int, verb: Verb, topic: str, timeout: float | None) -> None:
        super().__init__(id, verb, topic, timeout)
        self.asked: list[Instance] = []
        #: When all of it must be over; its first answer may have to come earlier.
        self.lasts_until = math.inf
        self._frames: deque[Frame] = deque()
        self._arrived = anyio.Event()
        self._started = self._begun = self._ended = False
        self._error: BusError | None = None
        #: Whether somebody may still be at work on it, even though we wait no more.
        self.worked_on = True

    @property
    def is_done(self) -> bool:
        """See :attr:`OpenCall.is_done`."""
        return self._ended

    def answer(self, frame: Frame) -> None:
        """See :meth:`OpenCall.answer`."""
        if frame.kind == Kind.CONFIRM:
            self._started = True
            if frame.stamp:
                self.asked.append(instance(frame.stamp))
            return
        self._begun = True
        if frame.flags & Flag.MORE:
            self._frames.append(frame)
        elif frame.flags & Flag.FAILED:
            self.fail(error_in(frame, topic=self.topic))
        else:
            self._ended, self.worked_on = True, False
        self._arrived.set()

    def fail(self, error: BusError) -> None:
        """See :meth:`OpenCall.fail`."""
        self.worked_on = False
        self._end(error)

    def expire(self, now: float) -> float | None:
        """See :meth:`OpenCall.expire`; once it has begun it may last longer."""
        if self.verb is not Verb.ASK:
            return super().expire(now)
        if self._begun and now < self.lasts_until:
            return None if self.lasts_until == math.inf else self.lasts_until
        if now >= self.lasts_until:
            self._end(DeadlineExceededError("its time was over before its end came", topic=self.topic))
        elif self._started:
            reason = f"the handler has answered nothing within {self.timeout:g} s"
            self._end(DeadlineExceededError(reason, stage="handler", topic=self.topic))
        else:
            reason = f"no handler was free within {self.timeout:g} s; it was never started"
            self._end(DeadlineExceededError(reason, stage="queue", topic=self.topic))
        return None

    def _end(self, error: BusError) -> None:
        if not self._ended:
            self._ended, self._error = True, error
            self._arrived.set()

    def take(self) -> Frame | None:
        """The next answer that is kept; None if there is none, as long as more may come and when it has ended.

        Raises:
            BusError: What it was failed with; all that came before has been taken.
        """
        if self._frames:
            return self._frames.popleft()
        if self._error is not None:
            raise self._error
        return None

    def arrival(self) -> anyio.Event:
        """What is set when something comes after now; several may wait for it."""
        if self._arrived.is_set():
            self._arrived = anyio.Event()
        return self._arrived


def instance(stamp: bytes) -> Instance:
    """Who answered, by the broker's stamp."""
    return Instance(sender_of(stamp), instance_of(stamp))
