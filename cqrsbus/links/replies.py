"""Requests with several answers: streams, and polls of every instance.

The rules:

1. A stream is paid for again when half of what was granted has been taken, so that it need not stand still.
2. Who leaves before the end says CANCEL.
"""

from anyio.lowlevel import checkpoint_if_cancelled

from cqrsbus.errors import BusError
from cqrsbus.links.calls import OpenCalls
from cqrsbus.links.channel import Channel
from cqrsbus.links.port import Instance, Reply, StreamTerms
from cqrsbus.links.replies_call import RepliesCall, instance
from cqrsbus.wire.envelope import DEFAULT_CONTENT_TYPE
from cqrsbus.wire.failures import error_in
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import decode_header


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
        await checkpoint_if_cancelled()
        while (frame := self._call.take()) is None:
            if self._call.is_done:
                return None
            await self._call.arrival().wait()
        if self._terms is not None:
            self._took(frame, self._terms)
        fields = decode_header(frame.header)
        error = error_in(frame, topic=self._call.topic) if frame.flags & Flag.FAILED else None
        return Reply(str(fields.get("ct", DEFAULT_CONTENT_TYPE)), frame.body, instance(frame.stamp), error)

    def leave(self) -> None:
        """See :meth:`cqrsbus.links.port.Replies.leave`."""
        if self._call.worked_on:
            self._call.fail(BusError("it was left", topic=self._call.topic))
            self._channel.put(Frame(Kind.CANCEL, id=self._call.id))
        self._calls.close(self._call)

    def _took(self, frame: Frame, terms: StreamTerms) -> None:
        self._taken += 1
        self._taken_size += frame.tail_size
        if self._taken * 2 >= terms.items or self._taken_size * 2 >= terms.size:
            self._pay(self._taken, self._taken_size)
            self._taken = self._taken_size = 0

    def _pay(self, items: int, size: int) -> None:
        if not self._call.is_done:
            self._channel.put(Frame(Kind.CREDIT, flags=Flag.OF_STREAM, id=self._call.id, detail=items, ttl=size))
