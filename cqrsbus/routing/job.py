"""A message on its way through the router, or a batch of events, and what is still owed for it."""

from typing import TYPE_CHECKING

from cqrsbus.errors import Code, ProtocolError
from cqrsbus.routing.peer import Peer, Subscription
from cqrsbus.routing.query_batch import QueryPart
from cqrsbus.wire.batch import cut, leading, messages_in, messages_size, singles
from cqrsbus.wire.frames import MAX_U16, MAX_U32, Flag, Frame

if TYPE_CHECKING:
    from cqrsbus.routing.consumer_group import ConsumerGroup


def deadline_of(frame: Frame, now: float) -> float | None:
    """When a message is no longer worth starting, on the router's clock; None for never."""
    return now + frame.ttl / 1000 if frame.ttl else None


class Job:
    """A message, or a batch of events, for one member of a consumer group; shared by every group of a fan-out.

    Args:
        content: The frame as it came, whose tail is forwarded untouched; or one of the queries that came in one.
        stamp: What the broker says of the sender.
        deadline: When it is no longer worth starting, on the router's clock; None for never.
        flags: What the delivery asks of the handler.
        request: Whom to answer, if anybody.
    """

    __slots__ = ("attempt", "content", "count", "deadline", "flags", "request", "size", "stamp")

    def __init__(
        self,
        content: Frame | QueryPart,
        stamp: bytes,
        deadline: float | None,
        flags: int,
        request: "Request | None" = None,
    ) -> None:
        self.content = content
        self.stamp = stamp
        self.deadline = deadline
        self.flags = flags
        self.request = request
        #: Messages, and their bytes.
        if isinstance(content, QueryPart):
            self.count, self.size = 1, content.size
        else:
            self.count, self.size = messages_in(content), messages_size(content)
        #: Counts the times it was started, from 1.
        self.attempt = 1

    def cut(self, messages: int, size: int) -> "tuple[Job, Job | None]":
        """Cut a batch where credit for so many messages and bytes ends; the last message may exceed the bytes."""
        frame = self._frame
        fitting = leading(frame, messages, size)
        if fitting == self.count:
            return self, None
        first, rest = cut(frame, fitting)
        return Job(first, self.stamp, self.deadline, self.flags), Job(rest, self.stamp, self.deadline, self.flags)

    def singles(self) -> "list[Job]":
        """The events of a batch one by one."""
        return [Job(frame, self.stamp, self.deadline, self.flags & ~Flag.BATCH) for frame in singles(self._frame)]

    @property
    def _frame(self) -> Frame:
        assert isinstance(self.content, Frame)
        return self.content


class StreamCredit:
    """What a stream of replies may still bring: paid for by its caller, spent by its handler."""

    __slots__ = ("items", "size", "started")

    def __init__(self) -> None:
        self.items = 0
        self.size = 0
        #: Something has been answered: nobody else can start it anew.
        self.started = False

    def grant(self, items: int, size: int) -> None:
        """Add to it.

        Raises:
            ProtocolError: More would be under way than the head of one frame could say.
        """
        if self.items + items > MAX_U16 or self.size + size > MAX_U32:
            raise ProtocolError(f"more than {MAX_U16} replies or {MAX_U32} bytes of a stream are paid for ahead")
        self.items += items
        self.size += size

    def spend(self, size: int) -> None:
        """Count one reply; the last one may exceed the bytes.

        Raises:
            ProtocolError: WINDOW_EXCEEDED, it was not paid for.
        """
        if self.items <= 0 or self.size <= 0:
            raise ProtocolError("the stream was continued without credit", code=Code.WINDOW_EXCEEDED)
        self.items -= 1
        self.size -= size
        self.started = True


class Request:
    """A caller who waits: for the answer to an ASK, or for the confirmation of a SEND.

    Args:
        peer: The caller.
        id: The number it gave the request.
        wants_reply: Whether the handler answers it (ASK, SEND with WAIT), or the broker when it has handed
            the message over (SEND).
        batched: Whether it came in a batch: so may its answer.
        credit: What may be answered, if the answer is a stream.
        poll: What it is one part of, if every instance is asked.
        asked: The instance that this part is for.
    """

    __slots__ = (
        "asked", "batched", "credit", "delivery", "done", "id", "peer", "poll", "waits_in", "wants_reply",
    )  # fmt: skip

    def __init__(
        self,
        peer: Peer,
        id: int,
        *,
        wants_reply: bool,
        batched: bool = False,
        credit: StreamCredit | None = None,
        poll: "Poll | None" = None,
        asked: Peer | None = None,
    ) -> None:
        self.peer = peer
        self.id = id
        self.wants_reply = wants_reply
        self.batched = batched
        self.credit = credit
        self.poll = poll
        self.asked = asked
        #: Where it is: waiting in a group's queue or for its one addressee, or in a handler's hands.
        self.waits_in: tuple[ConsumerGroup | Subscription, Job] | None = None
        self.delivery: Delivery | None = None
        #: Answered, cancelled, or expired: whatever comes now is late.
        self.done = False


class Poll:
    """A caller who waits for the answers of every instance: one request to each, which end one by one.

    Args:
        peer: The caller.
        id: The number it gave the request.
    """

    __slots__ = ("id", "parts", "peer")

    def __init__(self, peer: Peer, id: int) -> None:
        self.peer = peer
        self.id = id
        #: Those that have not ended, in the order in which they were asked.
        self.parts: dict[Request, None] = {}


class Delivery:
    """A message in a handler's hands, until it is settled by ACK, NACK or REPLY."""

    __slots__ = ("id", "job", "subscription")

    def __init__(self, id: int, job: Job, subscription: Subscription) -> None:
        self.id = id
        self.job = job
        self.subscription = subscription
