"""Messages that were delivered to be settled: by an ACK, a NACK or a REPLY."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from cqrsbus.errors import Code, PayloadTooLargeError
from cqrsbus.links.failure import failure_frame
from cqrsbus.links.source import Source
from cqrsbus.links.stream_credit import StreamCredit, put_when_wanted
from cqrsbus.wire.envelope import DEFAULT_CONTENT_TYPE, Envelope
from cqrsbus.wire.frames import HEAD_SIZE, Flag, Frame, Kind
from cqrsbus.wire.header import encode_header

# Plain numbers: looking up a member of an enum costs more than using it.
_ACK: Final = Kind.ACK.value
_REPLY: Final = Kind.REPLY.value
_NEEDS_REPLY: Final = Flag.NEEDS_REPLY
_STREAMED: Final = Flag.STREAMED
_BATCH: Final = Flag.BATCH


class BrokerDelivery:
    """A message that a broker delivered; see :class:`cqrsbus.links.port.Delivery`.

    Args:
        frame: The DELIVER frame.
        source: What it shares with the other messages of the frame.
        place: How many stand before it there.
        body: The encoded message.
        open_deliveries: Where it is found by its number until it is settled.
    """

    __slots__ = (
        "_credit",
        "_flags",
        "_id",
        "_open",
        "_place",
        "_settled",
        "_source",
        "attempt",
        "body",
        "cancelled",
        "deadline",
        "on_cancel",
    )

    def __init__(
        self, frame: Frame, source: Source, place: int, body: bytes, open_deliveries: "dict[int, BrokerDelivery]"
    ) -> None:
        self._source = source
        self._place = place
        self._id = frame.id + place
        self._flags = frame.flags
        #: The encoded message, until it is settled: whoever keeps its context need not keep what it said.
        self.body = body
        #: Counts the times it was started, from 1; what is in a batch is started for the first time.
        self.attempt = 1 if frame.flags & _BATCH else frame.detail
        self._open = open_deliveries
        self._credit: StreamCredit | None = None
        self._settled = False
        self.deadline = source.deadline
        self.cancelled = False
        self.on_cancel: Callable[[], None] | None = None
        open_deliveries[self._id] = self

    @property
    def topic(self) -> str:
        """The message's topic."""
        return self._source.topic

    @property
    def envelope(self) -> Envelope:
        """What the message says of itself."""
        return self._source.envelope_at(self._place)

    @property
    def content_type(self) -> str:
        """What the body is."""
        return self._source.content_type

    @property
    def sender(self) -> str:
        """The service that sent it, by the broker's stamp; empty if that says nothing intelligible."""
        return self._source.sender

    def cancel(self) -> None:
        """Its caller has left."""
        self.cancelled = True
        on_cancel, self.on_cancel = self.on_cancel, None
        if on_cancel is not None:
            on_cancel()

    def lose(self) -> None:
        """Its connection is lost: who waits for an answer gets none; what nobody waits for is handled all the same."""
        if self._flags & _NEEDS_REPLY:
            self.cancel()

    def done(self) -> None:
        """See :meth:`Delivery.done`."""
        if not self._settled:
            self.reply(DEFAULT_CONTENT_TYPE, b"")

    def reply(self, content_type: str, body: bytes) -> None:
        """See :meth:`Delivery.reply`."""
        if not self._flags & _NEEDS_REPLY:
            self._settle(Frame(_ACK, id=self._id))
            return
        header = b"" if content_type == DEFAULT_CONTENT_TYPE else encode_header({"ct": content_type})
        size, most = HEAD_SIZE + len(header) + len(body), self._source.channel.terms.max_frame
        if size > most:
            reason = f"the answer has {size} bytes with its head; the broker takes {most}"
            self.fail(Code.PAYLOAD_TOO_LARGE, {"reason": reason})
        elif self._flags & _BATCH:
            self._answer(header, body)
        else:
            self._settle(Frame(_REPLY, id=self._id, tail=header + body, header_size=len(header)))

    def _answer(self, header: bytes, body: bytes) -> None:
        """Answer what came in a batch: answers may be joined, too."""
        if not self._settled:
            self._end()
            # If nothing else is in hand, there is none that could go with it.
            self._source.outbox.answer(self._id, header, body, not self._open)

    @property
    def wants_answer(self) -> bool:
        """See :attr:`Delivery.wants_answer`."""
        return bool(self._flags & _NEEDS_REPLY)

    @property
    def wants_stream(self) -> bool:
        """See :attr:`Delivery.wants_stream`."""
        return bool(self._flags & _STREAMED)

    def reply_more(self, content_type: str, body: bytes) -> Awaitable[None]:
        """See :meth:`Delivery.reply_more`."""
        header = {} if content_type == DEFAULT_CONTENT_TYPE else {"ct": content_type}
        reply = Frame.of(Kind.REPLY, id=self._id, flags=Flag.MORE, header=encode_header(header), body=body)
        most = self._source.channel.terms.max_frame
        if reply.size > most:
            raise PayloadTooLargeError(f"an answer has {reply.size} bytes with its head; the broker takes {most}")
        return put_when_wanted(reply, self._stream_credit(), self._source.channel)

    def pay(self, items: int, size: int) -> None:
        """The caller wants so much more of the stream."""
        self._stream_credit().grant(items, size)

    def _stream_credit(self) -> StreamCredit:
        if self._credit is None:
            self._credit = StreamCredit()
            self._credit.over = self._settled
        return self._credit

    def fail(self, code: Code, fields: Mapping[str, Any], body: bytes = b"") -> None:
        """See :meth:`Delivery.fail`."""
        if self._settled:
            return
        # Only what the handler says is a reply; that it was not, or not wholly, heard is not.
        answers = self._flags & _NEEDS_REPLY and code >= Code.REMOTE_ERROR
        kind, flags = (Kind.REPLY, Flag.FAILED) if answers else (Kind.NACK, Flag.NONE)
        settlement = Frame(kind, id=self._id, flags=flags, detail=code)
        self._settle(failure_frame(settlement, fields, body if answers else b"", self._source.channel.terms))

    def hand_back(self) -> None:
        """See :meth:`Delivery.hand_back`."""
        self._settle(Frame(Kind.NACK, id=self._id, detail=Code.HANDLER_LOST))

    def _settle(self, settlement: Frame) -> None:
        if self._settled:
            return
        self._end()
        if self._open:
            self._source.outbox.put_soon(settlement)
        else:
            # Nothing else is in hand that could go with it.
            self._source.outbox.put_now(settlement)

    def _end(self) -> None:
        self._settled = True
        if self._credit is not None:
            self._credit.over = True
        self.on_cancel = None
        self.body = b""
        self._open.pop(self._id, None)
