"""Commands and queries: from their caller to one member of a group, or to every instance.

The rules:

1. A call that nobody handles, or that is one too many, is refused; else it is given to a member, or waits.
2. Queries that come in a batch are calls like any other, one after the other: each is refused, or given, by itself.
3. To refuse many that come together costs little for each: what is said of all is written once.
"""

from collections.abc import Sequence

from cqrsbus.errors import BusError, Code, InvalidTopicError, NoHandlerError, ProtocolError, QueueFullError
from cqrsbus.routing.consumer_group import ConsumerGroup
from cqrsbus.routing.counters import Counters
from cqrsbus.routing.courier import Courier
from cqrsbus.routing.job import Job, Poll, Request, StreamCredit, deadline_of
from cqrsbus.routing.output import Output
from cqrsbus.routing.peer import Peer
from cqrsbus.routing.query_batch import QueryBatch, QueryPart
from cqrsbus.routing.requests import Requests
from cqrsbus.routing.topology import Topology
from cqrsbus.topics import validate_topic
from cqrsbus.wire.batch import MAX_BATCH_HEADER, bodies, check_batch
from cqrsbus.wire.envelope import check_envelope
from cqrsbus.wire.frames import MAX_U16, Flag, Frame, Kind


class Calls:
    """Gives commands and queries to who handles them.

    Args:
        max_header: Bytes that the header of a batch may have.
        topology: Who handles what.
        courier: What gives jobs to members.
        requests: Where callers wait.
        counters: What to count in.
        output: Where frames to emit are collected.
    """

    def __init__(
        self,
        max_header: int,
        topology: Topology,
        courier: Courier,
        requests: Requests,
        counters: Counters,
        output: Output,
    ) -> None:
        self._max_header = min(max_header, MAX_BATCH_HEADER)
        self._topology = topology
        self._courier = courier
        self._requests = requests
        self._counters = counters
        self._output = output

    def send(self, peer: Peer, frame: Frame, now: float) -> None:
        """Carry out a SEND.

        Raises:
            ProtocolError: The frame is malformed, or its number may not be used.
            InvalidTopicError: It is not a topic.
            NoHandlerError: Nobody handles it.
            QueueFullError: Too many wait, or the caller has too many open.
        """
        self._counters.sent += 1
        check_envelope(frame.header)
        group = self._topology.command_group(frame.topic_bytes)
        if group is None:
            raise _nobody(frame, "command")
        waits = bool(frame.flags & Flag.WAIT)
        self._request(peer, frame, group, now, flags=Flag.NEEDS_REPLY if waits else Flag.NEEDS_ACK)

    def ask(self, peer: Peer, frame: Frame, now: float) -> None:
        """Carry out an ASK.

        Raises:
            ProtocolError, InvalidTopicError, NoHandlerError, QueueFullError: See :meth:`send`. Of queries in a batch
                those that are refused are told so one by one.
        """
        if frame.flags & Flag.BATCH:
            self._ask_batch(peer, frame, now)
            return
        self._counters.asked += 1
        if frame.flags == Flag.EVERY | Flag.STREAM:
            raise ProtocolError("every instance's stream cannot be asked for", code=Code.UNSUPPORTED)
        check_envelope(frame.header)
        group = self._topology.query_group(frame.topic_bytes)
        if group is None:
            raise _nobody(frame, "query")
        if frame.flags & Flag.EVERY:
            self._poll(peer, frame, group, now)
        elif frame.flags & Flag.STREAM:
            self._request(peer, frame, group, now, flags=Flag.NEEDS_REPLY | Flag.STREAMED)
        else:
            self._request(peer, frame, group, now, flags=Flag.NEEDS_REPLY)

    def _request(self, peer: Peer, frame: Frame, group: ConsumerGroup, now: float, *, flags: int) -> None:
        self._requests.check(peer, frame.id)
        credit = StreamCredit() if flags & Flag.STREAMED else None
        request = Request(peer, frame.id, wants_reply=bool(flags & Flag.NEEDS_REPLY), credit=credit)
        job = Job(frame, peer.stamp, deadline=deadline_of(frame, now), flags=flags, request=request)
        given = self._courier.offer(group, job, now)
        if given and not request.wants_reply:
            return
        self._requests.open(request, job.deadline)

    def _ask_batch(self, peer: Peer, frame: Frame, now: float) -> None:
        if frame.flags != Flag.BATCH:
            raise ProtocolError("only queries with one answer each are asked in batches", code=Code.UNSUPPORTED)
        check_batch(frame, self._max_header)
        self._counters.asked += frame.detail
        numbers = range(frame.id, frame.id + frame.detail)
        group = self._topology.query_group(frame.topic_bytes)
        if group is None:
            self._refuse(peer, numbers, _nobody(frame, "query"))
            return
        batch, deadline, refused = QueryBatch(frame), deadline_of(frame, now), list[int]()
        for place, body in enumerate(bodies(frame)):
            number = frame.id + place
            self._requests.check_number(peer, number)
            if self._requests.is_full(peer):
                # Nothing ends meanwhile: so it stays for all that follow.
                self._refuse_the_rest(peer, numbers[place:])
                break
            request = Request(peer, number, wants_reply=True, batched=True)
            job = Job(QueryPart(batch, place, body), peer.stamp, deadline, Flag.NEEDS_REPLY, request)
            if self._courier.is_full(group, job):
                refused.append(number)
                continue
            self._courier.offer(group, job, now)
            self._requests.open(request, deadline)
        if refused:
            self._refuse(peer, refused, self._courier.too_many(group))

    def _refuse_the_rest(self, peer: Peer, numbers: range) -> None:
        for number in numbers:
            self._requests.check_number(peer, number)
        self._refuse(peer, numbers, self._requests.too_many(peer))

    def _refuse(self, peer: Peer, numbers: Sequence[int], error: BusError) -> None:
        self._counters.rejected += len(numbers)
        self._output.reject_all(peer, numbers, error)

    def _poll(self, peer: Peer, frame: Frame, group: ConsumerGroup, now: float) -> None:
        """Ask every instance; first the caller is told which those are."""
        self._requests.check(peer, frame.id)
        deadline, poll = deadline_of(frame, now), Poll(peer, frame.id)
        asked = [(Request(peer, frame.id, wants_reply=True, poll=poll, asked=m.peer), m) for m in group.members]
        poll.parts = dict.fromkeys(part for part, _ in asked)
        self._requests.open(poll, deadline)
        for others, (_, member) in zip(reversed(range(len(asked))), asked, strict=True):
            stamp = member.peer.full_stamp
            self._output.emit(peer, Frame(Kind.CONFIRM, id=frame.id, detail=min(others, MAX_U16), stamp=stamp))
        for part, member in asked:
            job = Job(frame, peer.stamp, deadline=deadline, flags=Flag.NEEDS_REPLY, request=part)
            try:
                self._courier.offer_to(member, job, now)
            except QueueFullError as error:
                self._requests.refuse(part, error)


def _nobody(frame: Frame, kind: str) -> BusError:
    """What is wrong with a topic that nobody handles: it may be none."""
    try:
        return NoHandlerError(f"no connected service handles this {kind}", topic=validate_topic(frame.topic))
    except InvalidTopicError as error:
        return error
