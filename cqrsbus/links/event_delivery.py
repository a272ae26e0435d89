"""Events that were delivered, one or many in a frame, and that nobody waits to be settled."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from cqrsbus.errors import Code
from cqrsbus.links.channel import Channel
from cqrsbus.links.local_subscription import LocalSubscription
from cqrsbus.links.port import Delivery
from cqrsbus.links.source import Source
from cqrsbus.wire.batch import bodies
from cqrsbus.wire.envelope import Envelope
from cqrsbus.wire.frames import Flag, Frame


class EventSource(Source):
    """What all events of one frame have in common.

    Args:
        frame: The DELIVER frame.
        channel: The connection it came over.
        subscription: The subscription it came through.
        deadline: When they are no longer worth starting, on anyio's clock.
    """

    __slots__ = ("shared_size", "subscription")

    def __init__(self, frame: Frame, channel: Channel, subscription: LocalSubscription, deadline: float | None) -> None:
        super().__init__(frame, channel, deadline)
        self.subscription = subscription
        #: Bytes that each event counts beside its body.
        self.shared_size = frame.topic_size + frame.header_size


class EventDelivery:
    """One event; see :class:`cqrsbus.links.port.Delivery`.

    There is one for each event, so it keeps little, and works out the rest when it is asked.

    Args:
        source: What it shares with the other events of its frame.
        place: How many events stand before it there.
        body: The encoded event.
    """

    __slots__ = ("_place", "_settled", "_source", "body", "deadline", "on_cancel")

    #: Nobody waits for an event: its caller cannot leave, and nothing is ever called.
    cancelled: bool = False
    on_cancel: Callable[[], None] | None

    def __init__(self, source: EventSource, place: int, body: bytes) -> None:
        self._source = source
        self._place = place
        self.body = body
        self._settled = False
        self.deadline = source.deadline

    @property
    def topic(self) -> str:
        """The event's topic."""
        return self._source.topic

    @property
    def envelope(self) -> Envelope:
        """What the event says of itself."""
        return self._source.envelope_at(self._place)

    @property
    def content_type(self) -> str:
        """See :attr:`Delivery.content_type`."""
        return self._source.content_type

    @property
    def sender(self) -> str:
        """See :attr:`Delivery.sender`."""
        return self._source.sender

    @property
    def attempt(self) -> int:
        """See :attr:`Delivery.attempt`; an event that is not settled is never delivered again."""
        return 1

    @property
    def wants_answer(self) -> bool:
        """See :attr:`Delivery.wants_answer`."""
        return False

    @property
    def wants_stream(self) -> bool:
        """See :attr:`Delivery.wants_stream`."""
        return False

    def done(self) -> None:
        """See :meth:`Delivery.done`; the credit comes back."""
        if not self._settled:
            self._settled = True
            source = self._source
            size = source.shared_size + len(self.body)
            # Whoever keeps its context need not keep what it said.
            self.body = b""
            source.subscription.handled(source.channel, size)

    def reply(self, content_type: str, body: bytes) -> None:
        """See :meth:`Delivery.reply`; nobody waits for an answer."""
        self.done()

    def reply_more(self, content_type: str, body: bytes) -> Awaitable[None]:
        """See :meth:`Delivery.reply_more`; nobody waits for an answer."""
        raise RuntimeError("an event has no answers")

    def fail(self, code: Code, fields: Mapping[str, Any], body: bytes = b"") -> None:
        """See :meth:`Delivery.fail`; nobody is told."""
        self.done()

    def hand_back(self) -> None:
        """See :meth:`Delivery.hand_back`; it goes to nobody else."""
        self.done()


class EventDeliveries:
    """The events of a DELIVER frame that is not to be settled; see :class:`cqrsbus.links.port.Deliveries`.

    Many may wait to be handled, and a body is all that is kept of one until it is taken.

    Args:
        frame: The frame, be it a batch.
        channel: The connection it came over.
        subscription: The subscription it came through.
        deadline: When they are no longer worth starting, on anyio's clock.

    Raises:
        ProtocolError: BAD_FRAME, the batch is none.
    """

    __slots__ = ("_bodies", "_source")

    def __init__(self, frame: Frame, channel: Channel, subscription: LocalSubscription, deadline: float | None) -> None:
        self._source = EventSource(frame, channel, subscription, deadline)
        self._bodies = bodies(frame) if frame.flags & Flag.BATCH else [frame.body]

    def __len__(self) -> int:
        return len(self._bodies)

    def __getitem__(self, places: slice, /) -> list[Delivery]:
        source, bodies = self._source, self._bodies
        return [EventDelivery(source, place, bodies[place]) for place in range(*places.indices(len(bodies)))]

    def __iter__(self) -> Iterator[Delivery]:
        return iter(self[:])
