"""Messages that were delivered to be settled: by an ACK, a NACK or a REPLY."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from cqrsbus.errors import Code, PayloadTooLargeError
from cqrsbus.links.channel import Channel
from cqrsbus.links.failure import failure_frame
from cqrsbus.links.stream_credit import StreamCredit, put_when_wanted
from cqrsbus.wire.envelope import DEFAULT_CONTENT_TYPE, Envelope, decode_envelope, is_short
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import encode_header
from cqrsbus.wire.stamp import sender_of

# Plain numbers: looking up a member of an enum costs more than using it.
_ACK: Final = Kind.ACK.value
_REPLY: Final = Kind.REPLY.value
_NEEDS_REPLY: Final = Flag.NEEDS_REPLY
_STREAMED: Final = Flag.STREAMED


class BrokerDelivery:
    """A message that a broker delivered; see :class:`cqrsbus.links.port.Delivery`.

    Args:
        frame: The DELIVER frame.
        channel: The connection it came over, the only one it can be settled on.
        open_deliveries: Where it is found by its number until it is settled.
        deadline: When nobody waits for it any more, on anyio's clock.
    """

    __slots__ = (
        "_channel",
        "_credit",
        "_envelope",
        "_frame",
        "_open",
        "_settled",
        "cancelled",
        "deadline",
        "on_cancel",
    )

    def __init__(
        self,
        frame: Frame,
        channel: Channel,
        open_deliveries: "dict[int, BrokerDelivery]",
        deadline: float | None,
    ) -> None:
        self._frame = frame
        self._channel = channel
        self._open = open_deliveries
        self._envelope: Envelope | None = None
        self._credit: StreamCredit | None = None
        self._settled = False
        self.deadline = deadline
        self.cancelled = False
        self.on_cancel: Callable[[], None] | None = None
        open_deliveries[frame.id] = self

    @property
    def topic(self) -> str:
        """The message's topic."""
        return self._frame.topic

    @property
    def envelope(self) -> Envelope:
        """What the message says of itself."""
        if self._envelope is None:
            self._envelope = decode_envelope(self._frame.header)
        return self._envelope

    @property
    def content_type(self) -> str:
        """What the body is."""
        return DEFAULT_CONTENT_TYPE if is_short(self._frame.header) else self.envelope.content_type

    @property
    def body(self) -> bytes:
        """The encoded message."""
        return self._frame.body

    @property
    def sender(self) -> str:
        """The service that sent it, by the broker's stamp; empty if that says nothing intelligible."""
        return sender_of(self._frame.stamp)

    @property
    def attempt(self) -> int:
        """Counts the times it was started, from 1."""
        return self._frame.detail

    def cancel(self) -> None:
        """Its caller has left."""
        self.cancelled = True
        on_cancel, self.on_cancel = self.on_cancel, None
        if on_cancel is not None:
            on_cancel()

    def lose(self) -> None:
        """Its connection is lost: who waits for an answer gets none; what nobody waits for is handled all the same."""
        if self._frame.flags & _NEEDS_REPLY:
            self.cancel()

    def done(self) -> None:
        """See :meth:`Delivery.done`."""
        if not self._settled:
            self.reply(DEFAULT_CONTENT_TYPE, b"")

    def reply(self, content_type: str, body: bytes) -> None:
        """See :meth:`Delivery.reply`."""
        if self._frame.flags & _NEEDS_REPLY:
            if content_type == DEFAULT_CONTENT_TYPE:
                reply = Frame(_REPLY, id=self._frame.id, tail=body)
            else:
                reply = Frame.of(_REPLY, id=self._frame.id, header=encode_header({"ct": content_type}), body=body)
            most = self._channel.terms.max_frame
            if reply.size > most:
                reason = f"the answer has {reply.size} bytes with its head; the broker takes {most}"
                self.fail(Code.PAYLOAD_TOO_LARGE, {"reason": reason})
            else:
                self._settle(reply)
        else:
            self._settle(Frame(_ACK, id=self._frame.id))

    @property
    def wants_answer(self) -> bool:
        """See :attr:`Delivery.wants_answer`."""
        return bool(self._frame.flags & _NEEDS_REPLY)

    @property
    def wants_stream(self) -> bool:
        """See :attr:`Delivery.wants_stream`."""
        return bool(self._frame.flags & _STREAMED)

    def reply_more(self, content_type: str, body: bytes) -> Awaitable[None]:
        """See :meth:`Delivery.reply_more`."""
        header = {} if content_type == DEFAULT_CONTENT_TYPE else {"ct": content_type}
        reply = Frame.of(Kind.REPLY, id=self._frame.id, flags=Flag.MORE, header=encode_header(header), body=body)
        most = self._channel.terms.max_frame
        if reply.size > most:
            raise PayloadTooLargeError(f"an answer has {reply.size} bytes with its head; the broker takes {most}")
        return put_when_wanted(reply, self._stream_credit(), self._channel)

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
        answers = self._frame.flags & _NEEDS_REPLY and code >= Code.REMOTE_ERROR
        kind, flags = (Kind.REPLY, Flag.FAILED) if answers else (Kind.NACK, Flag.NONE)
        settlement = Frame(kind, id=self._frame.id, flags=flags, detail=code)
        self._settle(failure_frame(settlement, fields, body if answers else b"", self._channel.terms))

    def hand_back(self) -> None:
        """See :meth:`Delivery.hand_back`."""
        self._settle(Frame(Kind.NACK, id=self._frame.id, detail=Code.HANDLER_LOST))

    def _settle(self, settlement: Frame) -> None:
        if self._settled:
            return
        self._settled = True
        if self._credit is not None:
            self._credit.over = True
        self.on_cancel = None
        self._open.pop(self._frame.id, None)
        # Whoever keeps its context need not keep what it said.
        self._frame.tail = self._frame.tail[: self._frame.topic_size + self._frame.header_size]
        if self._open:
            self._channel.put(settlement)
        else:
            # Nothing else is in hand that could go with it.
            self._channel.put_now(settlement)
