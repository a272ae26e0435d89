"""Requests with several answers: streams, and polls of every instance.

The rules:

1. Answers are kept until they are taken: as many as were paid for, or one for each instance.
2. A stream is paid for again when half of what was granted has been taken, so that it need not stand still.
3. What came before the end, be it an error or the loss of the connection, can still be taken; then the end is told.
4. Who leaves before the end says CANCEL.
"""

import math
from collections import deque

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from cqrsbus.errors import BusError, DeadlineExceededError
from cqrsbus.links.calls import OpenCall, OpenCalls, Verb
from cqrsbus.links.channel import Channel
from cqrsbus.links.port import Instance, Reply, StreamTerms
from cqrsbus.wire.envelope import DEFAULT_CONTENT_TYPE
from cqrsbus.wire.failures import error_in
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import decode_header
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
                self.asked.append(_instance(frame.stamp))
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

    async def next(self) -> Frame | None:
        """Wait for the next answer; None at the end.

        Raises:
            BusError: What it was failed with.
        """
        await checkpoint_if_cancelled()
        while not self._frames:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            # Several may wait: all of them for the same answer.
            if self._arrived.is_set():
                self._arrived = anyio.Event()
            await self._arrived.wait()
        return self._frames.popleft()


class BrokerReplies:
    """See :class:`cqrsbus.links.port.Replies`.

    Args:
        call: The open request.
        channel: The connection it was made on.
        calls: Where it is open.
        terms: What it is paid for with, if it is a stream.
    """

    def __init__(self, call: RepliesCall, channel: Channel, calls: OpenCalls, terms: StreamTerms | None = None) -> None:
        self._call = call
        self._channel = channel
        self._calls = calls
        self._terms = terms
        self._taken = self._taken_size = 0
        if terms is not None:
            self._pay(terms.items, terms.size)

    @property
    def asked(self) -> tuple[Instance, ...]:
        """See :attr:`cqrsbus.links.port.Replies.asked`."""
        return tuple(self._call.asked)

    async def next(self) -> Reply | None:
        """See :meth:`cqrsbus.links.port.Replies.next`."""
        frame = await self._call.next()
        if frame is None:
            return None
        if self._terms is not None:
            self._took(frame, self._terms)
        fields = decode_header(frame.header)
        error = error_in(frame, topic=self._call.topic) if frame.flags & Flag.FAILED else None
        return Reply(str(fields.get("ct", DEFAULT_CONTENT_TYPE)), frame.body, _instance(frame.stamp), error)

    def leave(self) -> None:
        """See :meth:`cqrsbus.links.port.Replies.leave`."""
        if self._call.worked_on:
            self._call.fail(BusError("it was left", topic=self._call.topic))
            self._channel.put(Frame(Kind.CANCEL, id=self._call.id))
        self._calls.close(self._call)

    def _took(self, frame: Frame, terms: StreamTerms) -> None:
        self._taken += 1
        self._taken_size += len(frame.tail)
        if self._taken * 2 >= terms.items or self._taken_size * 2 >= terms.size:
            self._pay(self._taken, self._taken_size)
            self._taken = self._taken_size = 0

    def _pay(self, items: int, size: int) -> None:
        if not self._call.is_done:
            self._channel.put(Frame(Kind.CREDIT, flags=Flag.OF_STREAM, id=self._call.id, detail=items, ttl=size))


def _instance(stamp: bytes) -> Instance:
    return Instance(sender_of(stamp), instance_of(stamp))
