"""What the router decided, to be carried out in order.

Queries that came in a batch and go on to the same member, and their answers, are joined as far as their numbers follow
each other. Whatever else is said in between may come behind: it never says anything of what is joined before it.
"""

from collections.abc import Sequence
from typing import Final

from cqrsbus.errors import BusError, Code
from cqrsbus.routing.job import Delivery, Job
from cqrsbus.routing.peer import Peer, Subscription
from cqrsbus.routing.query_batch import QueryPart
from cqrsbus.wire.batch import BatchWriter
from cqrsbus.wire.failures import fields_of
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import encode_header

#: A peer's number and a frame to send to it. After an ERROR frame its connection is to be closed.
Emission = tuple[int, Frame]
# Plain numbers: looking up a member of an enum costs more than using it.
_DELIVER: Final = Kind.DELIVER.value
_BATCH: Final = Flag.BATCH
_REPLY: Final = Kind.REPLY.value


class Output:
    """Collects emissions until they are taken."""

    __slots__ = ("_answers", "_deliveries", "_emissions", "_last_part")

    def __init__(self) -> None:
        self._emissions: list[Emission] = []
        self._answers = _Joined()
        self._deliveries = _Joined()
        self._last_part: QueryPart | None = None

    def emit(self, peer: Peer, frame: Frame) -> None:
        """Send a frame to a peer."""
        self._emissions.append((peer.number, frame))

    def deliver(self, member: Subscription, job: Job, id: int, ttl: int) -> None:
        """Give a message to a member.

        Args:
            member: Who it is for.
            job: The message, or a batch of events.
            id: The delivery's number; 0 if it is not to be settled.
            ttl: Milliseconds left; 0 is no limit.
        """
        content, number = job.content, member.peer.number
        if isinstance(content, QueryPart):
            self._deliver_part(member, job, content, id, ttl)
            return
        detail = job.count if job.flags & _BATCH else job.attempt
        frame = Frame(_DELIVER, job.flags, detail, member.channel, id, ttl, job.stamp)
        self._emissions.append((number, frame.carry(content)))

    def _deliver_part(self, member: Subscription, job: Job, part: QueryPart, id: int, ttl: int) -> None:
        number, joined = member.peer.number, self._deliveries
        if not (member.batches and joined.continues(number, id) and part.follows(self._last_part)):
            batch, header = part.batch, part.batch.header_at(part.place)
            frame = Frame(
                _DELIVER, job.flags, job.attempt, member.channel, id, ttl, job.stamp, batch.topic + header,
                len(batch.topic), len(header),
            )  # fmt: skip
            joined.begin(number, frame)
            self._emissions.append((number, frame))
        joined.add(part.body)
        self._last_part = part

    def answer(self, peer: Peer, request_id: int, reply: Frame, stamp: bytes) -> None:
        """Forward a handler's reply to the one who asked, under the number that one gave."""
        answer = Frame(_REPLY, reply.flags, reply.detail, 0, request_id, 0, stamp)
        self._emissions.append((peer.number, answer.carry(reply)))

    def join_answer(self, peer: Peer, request_id: int, reply: Frame, stamp: bytes) -> None:
        """Forward a handler's reply to one who asked in a batch: with others that it follows."""
        joined, number = self._answers, peer.number
        # All that is joined here is of one REPLY: its sender and its header are the same.
        if not joined.continues(number, request_id):
            frame = Frame(_REPLY, 0, 0, 0, request_id, 0, stamp, reply.header, 0, reply.header_size)
            joined.begin(number, frame)
            self._emissions.append((number, frame))
        joined.add(reply.body)

    def pay(self, delivery: Delivery, items: int, size: int) -> None:
        """Tell a handler that its stream may go on."""
        credit = Frame(Kind.CREDIT, flags=Flag.OF_STREAM, id=delivery.id, detail=items, ttl=size)
        self.emit(delivery.subscription.peer, credit)

    def reject(self, peer: Peer, request_id: int, error: BusError) -> None:
        """Refuse a peer's request; the connection lives on."""
        self.reject_all(peer, (request_id,), error)

    def reject_all(self, peer: Peer, request_ids: Sequence[int], error: BusError) -> None:
        """Refuse several requests of a peer for the same reason."""
        header = encode_header(fields_of(error))
        for request_id in request_ids:
            self.emit(peer, Frame.of(Kind.REJECT, id=request_id, detail=error.code, header=header))

    def partial(self, peer: Peer, request_id: int, reply: Frame, by: Peer) -> None:
        """Forward the reply of one instance among several; more follow."""
        answer = Frame(_REPLY, reply.flags | Flag.MORE, reply.detail, 0, request_id, 0, by.full_stamp)
        self.emit(peer, answer.carry(reply))

    def end(self, peer: Peer, code: Code, reason: str) -> None:
        """End a peer's connection, telling it why."""
        self.emit(peer, Frame.of(Kind.ERROR, detail=code, header=encode_header({"reason": reason})))

    def take(self) -> list[Emission]:
        """Hand over what was collected."""
        self._answers.end()
        self._deliveries.end()
        self._last_part = None
        taken, self._emissions = self._emissions, []
        return taken


class _Joined:
    """What goes to one peer in one frame, which is among the emissions already."""

    __slots__ = ("_batch", "_to")

    def __init__(self) -> None:
        self._batch: BatchWriter | None = None
        self._to = 0

    def continues(self, to: int, id: int) -> bool:
        """Whether there is a frame for this peer, in which this number is the next."""
        batch = self._batch
        return batch is not None and self._to == to and batch.next_id == id

    def begin(self, to: int, frame: Frame) -> None:
        """Begin with another frame, to which nothing was added."""
        self.end()
        self._batch, self._to = BatchWriter(frame), to

    def add(self, body: bytes) -> None:
        """Add what is next."""
        assert self._batch is not None
        self._batch.add(body)

    def end(self) -> None:
        """Write the frame."""
        batch, self._batch = self._batch, None
        if batch is not None:
            batch.end()
