"""The frame: what travels over a connection.

The rules:

1. A frame is a fixed head of 28 bytes, then four parts whose lengths stand in the head::

       length  kind flags stamp# topic#  header#  detail  channel  id   ttl   | stamp | topic | header | body
       u32     u8   u8    u8     u8      u16      u16     u32      u64  u32   | broker's | ASCII | msgpack | opaque

   All numbers are big-endian. ``length`` counts every byte after itself.
2. What a broker changes on the way (kind, channel, id, remaining time, its stamp) is in the head or right
   behind it. Topic, header and body are one run of bytes, the *tail*, which is forwarded as it came, and
   shared by every copy of a fan-out.
3. What ``channel``, ``id``, ``ttl`` and ``detail`` mean depends on the kind; docs/protocol.md has the table.
4. A flag bit that a kind does not know is an error, so that a later version can give it a meaning.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from struct import Struct
from typing import Final, TypeAlias

HEAD: Final = Struct("!IBBBBHHIQI")
HEAD_SIZE: Final = HEAD.size
#: ``length`` does not count its own four bytes.
LENGTH_SIZE: Final = 4
MIN_LENGTH: Final = HEAD_SIZE - LENGTH_SIZE

MAX_U16: Final = 0xFFFF
MAX_U32: Final = 0xFFFF_FFFF
MAX_U64: Final = 0xFFFF_FFFF_FFFF_FFFF


class Kind(IntEnum):
    """What a frame says."""

    # The connection.
    HELLO = 0x01
    WELCOME = 0x02
    ERROR = 0x03
    PING = 0x04
    PONG = 0x05
    DRAIN = 0x06
    # Who wants what.
    SUBSCRIBE = 0x10
    UNSUBSCRIBE = 0x11
    DESCRIBE = 0x12
    # Messages.
    SEND = 0x20
    ASK = 0x21
    PUBLISH = 0x22
    DELIVER = 0x28
    # Answers to a message or a request.
    REPLY = 0x30
    CANCEL = 0x31
    CONFIRM = 0x32
    REJECT = 0x33
    # Settling a delivery, and flow control.
    ACK = 0x38
    NACK = 0x39
    CREDIT = 0x3A


class Flag:
    """Flag bits; each kind gives its own meaning to the bits it knows."""

    NONE: Final = 0x00
    #: SEND: answer with a REPLY once handled, not with a CONFIRM once accepted.
    WAIT: Final = 0x01
    #: ASK: every instance answers (gather).
    EVERY: Final = 0x01
    #: ASK: the answer is a stream of replies, paid for with CREDIT.
    STREAM: Final = 0x02
    #: SUBSCRIBE: messages for this group are kept while nobody is connected.
    DURABLE: Final = 0x01
    #: ASK, PUBLISH, DELIVER, REPLY: several messages, see batch.py; ``detail`` is how many.
    BATCH: Final = 0x10
    #: DELIVER: settle with ACK or NACK.
    NEEDS_ACK: Final = 0x01
    #: DELIVER: settle with REPLY.
    NEEDS_REPLY: Final = 0x02
    #: DELIVER: it may have been delivered before.
    REDELIVERED: Final = 0x04
    #: DELIVER: the answer is to be a stream of replies.
    STREAMED: Final = 0x08
    #: REPLY: more replies follow.
    MORE: Final = 0x01
    #: REPLY: the handler failed; ``detail`` is the code.
    FAILED: Final = 0x02
    #: CONFIRM, ACK: also everything with a lower id (of the same channel).
    CUMULATIVE: Final = 0x01
    #: CREDIT: for a stream of replies, named by ``id``; ``detail`` replies and ``ttl`` bytes more.
    OF_STREAM: Final = 0x01


KNOWN_FLAGS: Final[dict[int, int]] = {
    **{kind.value: Flag.NONE for kind in Kind},
    Kind.SUBSCRIBE: Flag.DURABLE,
    Kind.SEND: Flag.WAIT,
    Kind.ASK: Flag.EVERY | Flag.STREAM | Flag.BATCH,
    Kind.PUBLISH: Flag.BATCH,
    Kind.DELIVER: Flag.NEEDS_ACK | Flag.NEEDS_REPLY | Flag.REDELIVERED | Flag.STREAMED | Flag.BATCH,
    Kind.REPLY: Flag.MORE | Flag.FAILED | Flag.BATCH,
    Kind.CONFIRM: Flag.CUMULATIVE,
    Kind.ACK: Flag.CUMULATIVE,
    Kind.CREDIT: Flag.OF_STREAM,
}

#: What the protocol has room for and nobody serves yet: refused as UNSUPPORTED, never ignored.
RESERVED_FLAGS: Final[dict[int, int]] = {
    Kind.SUBSCRIBE: Flag.DURABLE,
    Kind.CONFIRM: Flag.CUMULATIVE,
    Kind.ACK: Flag.CUMULATIVE,
}


_FIELDS: Final = (
    "channel", "detail", "flags", "header_size", "id", "kind", "stamp", "tail", "topic_size", "ttl",
)  # fmt: skip

#: What a tail may have come in.
Portion: TypeAlias = bytes | bytearray | memoryview


class Frame:
    """One frame.

    Args:
        kind: One of :class:`Kind`.
        flags: Bits of :class:`Flag` that the kind knows.
        detail: An error code, a delivery's attempt, how many a batch has, or a credit's messages.
        channel: The subscription concerned; 0 is the connection itself.
        id: The request's or the delivery's number on this connection.
        ttl: Milliseconds left to answer; 0 is no limit.
        stamp: What the broker says of the sender: a small msgpack map, at most 255 bytes.
        tail: Topic, header and body, one behind the other.
        topic_size: Bytes of the tail that are the topic.
        header_size: Bytes of the tail, behind the topic, that are the header.
    """

    __slots__ = (
        "_portions", "_tail", "channel", "detail", "flags", "header_size", "id", "kind", "stamp", "topic_size", "ttl",
    )  # fmt: skip

    # Not only by keyword: frames are made on the hot path, where passing ten keywords takes twice as long.
    def __init__(
        self,
        kind: int,
        flags: int = 0,
        detail: int = 0,
        channel: int = 0,
        id: int = 0,
        ttl: int = 0,
        stamp: bytes = b"",
        tail: bytes = b"",
        topic_size: int = 0,
        header_size: int = 0,
    ) -> None:
        self.kind = kind
        self.flags = flags
        self.detail = detail
        self.channel = channel
        self.id = id
        self.ttl = ttl
        self.stamp = stamp
        self._tail = tail
        #: What a large tail came in, as long as nobody has asked for it as a whole; the first has the topic and the
        #: header.
        self._portions: Sequence[Portion] | None = None
        self.topic_size = topic_size
        self.header_size = header_size

    @classmethod
    def of(
        cls,
        kind: int,
        *,
        topic: bytes = b"",
        header: bytes = b"",
        body: bytes = b"",
        flags: int = 0,
        detail: int = 0,
        channel: int = 0,
        id: int = 0,
        ttl: int = 0,
    ) -> "Frame":
        """Make a frame from its parts, joining the three that form the tail."""
        tail = topic + header + body
        return cls(kind, flags, detail, channel, id, ttl, b"", tail, len(topic), len(header))

    @property
    def tail(self) -> bytes:
        """Topic, header and body, one behind the other."""
        if self._portions is not None:
            self._tail, self._portions = b"".join(self._portions), None
        return self._tail

    @tail.setter
    def tail(self, tail: bytes) -> None:
        self._tail, self._portions = tail, None

    @property
    def portions(self) -> Sequence[Portion] | None:
        """What the tail came in, if it is large and nobody has asked for it as a whole."""
        return self._portions

    def come_in(self, first: bytes, others: Iterable[Portion]) -> None:
        """Take a tail that came in several portions; it is put together only for who asks for it.

        Args:
            first: Its beginning, with all of the topic and the header.
            others: What came behind that.
        """
        self._tail, self._portions = first, [first, *others]

    def carry(self, other: "Frame") -> "Frame":
        """Carry the same topic, header and body as another frame, as they came."""
        self._tail, self._portions = other._tail, other._portions
        self.topic_size, self.header_size = other.topic_size, other.header_size
        return self

    @property
    def tail_size(self) -> int:
        """Bytes of the tail."""
        return len(self._tail) if self._portions is None else sum([len(portion) for portion in self._portions])

    # These stand in what the tail begins with, however it came.

    @property
    def topic_bytes(self) -> bytes:
        """The topic as it is written."""
        return self._tail[: self.topic_size]

    @property
    def topic(self) -> str:
        """The topic. Nothing has checked that it is one: other bytes than ASCII stand for themselves."""
        return str(self._tail[: self.topic_size], "latin-1")

    @property
    def header(self) -> bytes:
        """The header, a msgpack map."""
        return self._tail[self.topic_size : self.topic_size + self.header_size]

    @property
    def body(self) -> bytes:
        """The body, which only its codec understands."""
        body = self._tail[self.topic_size + self.header_size :]
        return body if self._portions is None else b"".join((body, *self._portions[1:]))

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return HEAD_SIZE + len(self.stamp) + self.tail_size

    def head(self) -> bytes:
        """The head and the stamp: all of the frame that stands before its shared tail."""
        stamp = self.stamp
        stamp_size = len(stamp)
        head = HEAD.pack(
            MIN_LENGTH + stamp_size + self.tail_size,
            self.kind,
            self.flags,
            stamp_size,
            self.topic_size,
            self.header_size,
            self.detail,
            self.channel,
            self.id,
            self.ttl,
        )
        return head + stamp if stamp_size else head

    def encode(self) -> bytes:
        """The whole frame as it goes over the wire."""
        return self.head() + self.tail

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Frame):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _FIELDS)

    __hash__ = None  # type: ignore[assignment]  # mutable: frames are compared, never keys

    def __repr__(self) -> str:
        """Never the header or the body: they may hold secrets."""
        try:
            kind = Kind(self.kind).name
        except ValueError:
            kind = f"kind {self.kind:#04x}"
        shown = [
            f"{name}={value}" for name in ("flags", "detail", "channel", "id", "ttl") if (value := getattr(self, name))
        ]
        if self.topic_size:
            shown.append(f"topic={self.topic_bytes!r}")
        return f"<{' '.join([kind, *shown])} {self.size} bytes>"
