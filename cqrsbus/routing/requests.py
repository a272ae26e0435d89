"""Open requests: callers who wait, and how their waiting ends.

The rules:

1. A request ends exactly once: with its answer, a refusal, its deadline, or because its caller left. What comes for
   it afterwards is late.
2. Whoever works on a request that nobody waits for any more is told CANCEL; what was not started is dropped.
3. A stream's replies are forwarded one by one, as far as its caller has paid for them; the request stays open until
   the one that says no more.
4. A poll asks every instance. Its parts end one by one, each told to the caller as a reply of that instance, a
   refusal too; when the last has ended, so has the poll.
"""

from cqrsbus.errors import BusError, DeadlineExceededError, ProtocolError, QueueFullError, Stage
from cqrsbus.routing.consumer_group import ConsumerGroup
from cqrsbus.routing.counters import Counters
from cqrsbus.routing.deadlines import DeadlineHeap
from cqrsbus.routing.job import Poll, Request
from cqrsbus.routing.output import Output
from cqrsbus.routing.peer import Peer
from cqrsbus.wire.failures import fields_of
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import encode_header


class Requests:
    """The open requests of all peers.

    Args:
        most: How many one peer may have open.
        counters: What to count in.
        output: Where frames to emit are collected.
        deadlines: Where requests wait for their time.
    """

    def __init__(
        self,
        most: int,
        counters: Counters,
        output: Output,
        deadlines: DeadlineHeap[Request | Poll | ConsumerGroup],
    ) -> None:
        self._most = most
        self._counters = counters
        self._output = output
        self._deadlines = deadlines

    def check(self, peer: Peer, number: int) -> None:
        """Make sure that a peer may open a request under this number.

        Raises:
            ProtocolError: The number is 0 or in use.
            QueueFullError: It has as many open requests as it may.
        """
        self.check_number(peer, number)
        if self.is_full(peer):
            raise self.too_many(peer)

    def check_number(self, peer: Peer, number: int) -> None:
        """Make sure that a number is one under which a peer may open a request.

        Raises:
            ProtocolError: The number is 0 or in use.
        """
        if number == 0 or number in peer.requests:
            raise ProtocolError(f"request {number} cannot be made: it is 0 or still open")

    def is_full(self, peer: Peer) -> bool:
        """Whether a peer has as many open requests as it may."""
        return len(peer.requests) >= self._most

    def too_many(self, peer: Peer) -> QueueFullError:
        """What a peer is told then."""
        return QueueFullError(f"this connection has {len(peer.requests)} open requests, the most it may")

    def open(self, request: Request | Poll, deadline: float | None) -> None:
        """Begin to wait."""
        request.peer.requests[request.id] = request
        if deadline is not None:
            self._deadlines.set(request, deadline)

    def answer(self, request: Request, reply: Frame, by: Peer) -> None:
        """End a request with its handler's reply."""
        self._counters.replied += 1
        if request.poll is not None:
            self._output.partial(request.peer, request.id, reply, by)
        elif request.batched and not reply.flags:
            self._output.join_answer(request.peer, request.id, reply, by.stamp)
        else:
            self._output.answer(request.peer, request.id, reply, by.stamp)
        self._close(request)

    def continue_stream(self, request: Request, reply: Frame, by: Peer) -> None:
        """Forward one reply of a stream, after which more follow.

        Raises:
            ProtocolError: The request is no stream, or its caller has not paid for this much.
        """
        if request.credit is None or reply.flags & Flag.FAILED:
            raise ProtocolError(f"delivery {reply.id} has one answer, and a failure is the last")
        request.credit.spend(reply.tail_size)
        self._counters.replied += 1
        self._output.answer(request.peer, request.id, reply, by.stamp)

    def pay(self, request: Request | Poll, credit: Frame) -> None:
        """A stream's caller allows more of it.

        Raises:
            ProtocolError: The request is no stream, or too much of it is paid for ahead.
        """
        if isinstance(request, Poll) or request.credit is None:
            raise ProtocolError(f"request {credit.id} is no stream: it takes no credit")
        request.credit.grant(credit.detail, credit.ttl)
        if request.delivery is not None:
            self._output.pay(request.delivery, credit.detail, credit.ttl)

    def refuse(self, request: Request, error: BusError) -> None:
        """End a request with an error of the broker's own; nothing happens if it has ended."""
        if not request.done:
            self.reject(request, error.code, encode_header(fields_of(error)))

    def reject(self, request: Request, code: int, header: bytes) -> None:
        """End a request that was not handled, saying why."""
        self._counters.rejected += 1
        self._tell(request, code, header)
        self._close(request)

    def cancel(self, request: Request | Poll) -> None:
        """The caller has left: there is nobody to tell."""
        parts = list(request.parts) if isinstance(request, Poll) else [request]
        self._forget(request)
        for part in parts:
            self._stop(part)
            _end(part)

    def expire(self, request: Request | Poll) -> None:
        """The time is up."""
        self._counters.expired += 1
        for part in list(request.parts) if isinstance(request, Poll) else [request]:
            stage: Stage = "queue" if part.delivery is None else "handler"
            error = DeadlineExceededError(_TOO_LATE[stage], stage=stage)
            self._stop(part)
            self._tell(part, error.code, encode_header(fields_of(error)))
            self._close(part)

    def _stop(self, request: Request) -> None:
        if request.waits_in is not None:
            where, job = request.waits_in
            where.drop(job)
        elif request.delivery is not None:
            delivery = request.delivery
            self._output.emit(delivery.subscription.peer, Frame(Kind.CANCEL, id=delivery.id))

    def _tell(self, request: Request, code: int, header: bytes) -> None:
        if request.asked is None:
            self._output.emit(request.peer, Frame.of(Kind.REJECT, id=request.id, detail=code, header=header))
        else:
            failure = Frame.of(Kind.REPLY, flags=Flag.FAILED, detail=code, header=header)
            self._output.partial(request.peer, request.id, failure, request.asked)

    def _close(self, request: Request) -> None:
        _end(request)
        if request.poll is None:
            self._forget(request)
            return
        request.poll.parts.pop(request, None)
        if not request.poll.parts:
            self._forget(request.poll)
            self._output.emit(request.peer, Frame(Kind.REPLY, id=request.id))

    def _forget(self, request: Request | Poll) -> None:
        request.peer.requests.pop(request.id, None)
        self._deadlines.discard(request)


_TOO_LATE: dict[Stage, str] = {
    "queue": "no handler was free in time; it was never started",
    "handler": "the handler did not finish in time",
}


def _end(request: Request) -> None:
    request.done = True
    # The heap may keep it until its deadline; that must not keep the message alive.
    request.waits_in = request.delivery = None
