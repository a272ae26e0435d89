"""The broker's decisions: a frame and the time in, frames out.

The rules:

1. The router never raises for what a peer did: a refused request becomes a REJECT, a broken protocol an ERROR,
   after which the session closes the connection and detaches the peer.
2. An answer goes to the one who asked, by the number it gave, and only from the one who was asked.
3. Whatever is kept for a peer is dropped when it is detached; whoever waited for it is told.
4. Time only ever comes in as an argument.
"""

from collections.abc import Callable

from cqrsbus.errors import (
    BusError,
    Code,
    HandlerLostError,
    NoHandlerError,
    ProtocolError,
)
from cqrsbus.routing.calls import Calls
from cqrsbus.routing.consumer_group import ConsumerGroup
from cqrsbus.routing.counters import Counters
from cqrsbus.routing.courier import Courier
from cqrsbus.routing.deadlines import DeadlineHeap
from cqrsbus.routing.fan_out import FanOut
from cqrsbus.routing.job import Delivery, Poll, Request
from cqrsbus.routing.limits import RoutingLimits
from cqrsbus.routing.output import Emission, Output
from cqrsbus.routing.peer import Peer, Subscription
from cqrsbus.routing.requests import Requests
from cqrsbus.routing.topology import Topology
from cqrsbus.wire.batch import MAX_BATCH_HEADER, answers, check_bodies
from cqrsbus.wire.frames import RESERVED_FLAGS, Flag, Frame, Kind
from cqrsbus.wire.header import decode_header


class Router:
    """Routes frames between peers.

    Args:
        limits: Bounds on what is kept.
        max_header: Bytes that the header of a batch may have; of other frames the receiver has seen to it.
    """

    def __init__(self, limits: RoutingLimits | None = None, *, max_header: int = MAX_BATCH_HEADER) -> None:
        self.limits = limits or RoutingLimits()
        self.counters = Counters()
        self._peers: dict[int, Peer] = {}
        self._output = Output()
        self._deadlines: DeadlineHeap[Request | Poll | ConsumerGroup] = DeadlineHeap()
        self._topology = Topology(self.limits)
        self._courier = Courier(self.limits, self.counters, self._output, self._deadlines)
        self._fan_out = FanOut(self.limits.publish_window, max_header, self._topology, self._courier, self.counters)
        self._requests = Requests(self.limits.max_open_requests, self.counters, self._output, self._deadlines)
        self._calls = Calls(max_header, self._topology, self._courier, self._requests, self.counters, self._output)
        self._receivers: dict[int, Callable[[Peer, Frame, float], None]] = {
            Kind.SEND: self._calls.send,
            Kind.ASK: self._calls.ask,
            Kind.PUBLISH: self._fan_out.publish,
            Kind.REPLY: self._on_reply,
            Kind.ACK: self._on_ack,
            Kind.NACK: self._on_nack,
            Kind.CREDIT: self._on_credit,
            Kind.CANCEL: self._on_cancel,
            Kind.SUBSCRIBE: self._on_subscribe,
            Kind.UNSUBSCRIBE: self._on_unsubscribe,
            Kind.DESCRIBE: self._on_describe,
            Kind.DRAIN: self._on_drain,
        }

    @property
    def next_deadline(self) -> float | None:
        """When :meth:`expire` has something to do, or None."""
        return self._deadlines.earliest

    @property
    def no_deadline_before(self) -> float | None:
        """A time before which nothing is due; to find out when something is would cost each message."""
        return self._deadlines.none_before

    @property
    def open_requests(self) -> int:
        """Callers who wait for an answer."""
        return sum(len(peer.requests) for peer in self._peers.values())

    def attach(self, number: int, service: str, instance: str) -> None:
        """A client has connected; its number must be new."""
        self._peers[number] = Peer(number, service, instance)

    def detach(self, number: int, now: float) -> list[Emission]:
        """A client is gone: drop what is kept for it and tell who waited for it."""
        peer = self._peers.pop(number)
        self._courier.forget(peer)
        self.counters.cancelled += len(peer.requests)
        for request in list(peer.requests.values()):
            self._requests.cancel(request)
        self._leave_all(peer, now)
        for delivery in peer.deliveries.values():
            self._lost(delivery)
        # It may have asked itself, and been told to stop.
        return [emission for emission in self._output.take() if emission[0] != number]

    def receive(self, number: int, frame: Frame, now: float) -> list[Emission]:
        """Decide what follows from a frame that a client sent."""
        peer = self._peers[number]
        try:
            if frame.flags and frame.flags & RESERVED_FLAGS.get(frame.kind, Flag.NONE):
                raise ProtocolError("this broker does not serve these flags", code=Code.UNSUPPORTED)
            self._receivers[frame.kind](peer, frame, now)
        except ProtocolError as error:
            self._output.end(peer, error.code, error.reason)
        except BusError as error:
            self.counters.rejected += 1
            self._output.reject(peer, frame.id, error)
        return self._output.take()

    def expire(self, now: float) -> list[Emission]:
        """Decide what follows from the passing of time."""
        for due in list(self._deadlines.pop_expired(now)):
            if isinstance(due, ConsumerGroup):
                self._courier.check_stall(due, now)
            else:
                self._requests.expire(due)
        return self._output.take()

    # Answers and settlements.

    def _on_reply(self, peer: Peer, frame: Frame, now: float) -> None:
        decode_header(frame.header)
        if not frame.flags & Flag.BATCH:
            self._reply(peer, frame, now)
            return
        if frame.flags != Flag.BATCH or frame.topic_size:
            raise ProtocolError("a batch of replies has no topic, and each is the only one, and no failure")
        check_bodies(frame)
        for reply in answers(frame):
            self._reply(peer, reply, now)

    def _reply(self, peer: Peer, frame: Frame, now: float) -> None:
        delivery = self._delivery(peer, frame)
        if delivery is None:
            self.counters.late_replies += 1
            return
        request = delivery.job.request
        if request is None or not request.wants_reply or frame.topic_size:
            raise ProtocolError(f"delivery {frame.id} is to be settled with ACK, or the reply has a topic")
        if request.done:
            self.counters.late_replies += 1
        elif frame.flags & Flag.MORE:
            self._requests.continue_stream(request, frame, peer)
        else:
            self._requests.answer(request, frame, peer)
        if not frame.flags & Flag.MORE:
            self._courier.settle(delivery, now)

    def _on_ack(self, peer: Peer, frame: Frame, now: float) -> None:
        delivery = self._delivery(peer, frame)
        if delivery is None:
            self.counters.stale_settlements += 1
        elif delivery.job.flags & Flag.NEEDS_REPLY:
            raise ProtocolError(f"delivery {frame.id} is to be settled with REPLY")
        else:
            self._courier.settle(delivery, now)

    def _on_nack(self, peer: Peer, frame: Frame, now: float) -> None:
        decode_header(frame.header)
        delivery = self._delivery(peer, frame)
        if delivery is None:
            self.counters.stale_settlements += 1
        elif frame.detail != Code.HANDLER_LOST:
            self._not_handled(delivery, frame)
            self._courier.settle(delivery, now)
        elif (group := self._others_for(delivery)) is not None:
            self._courier.hand_back(delivery, group, now)
        else:
            self._courier.settle(delivery, now)
            self._lost(delivery)

    def _others_for(self, delivery: Delivery) -> ConsumerGroup | None:
        """The group that a message which was not started goes back to, if it may be given to another."""
        request = delivery.job.request
        if request is not None and request.wants_reply:
            # Its caller has left meanwhile, or asked this very instance, or has heard a part of the answer.
            begun = request.credit is not None and request.credit.started
            if request.done or request.poll is not None or begun:
                return None
        return self._topology.in_place_of(delivery.subscription.group)

    def _not_handled(self, delivery: Delivery, nack: Frame) -> None:
        """Who waits for the reply is told why none will come."""
        request = delivery.job.request
        if request is None or not request.wants_reply:
            return
        if not nack.detail:
            raise ProtocolError(f"delivery {nack.id} is to be settled with REPLY, or with NACK and a code")
        if not request.done:
            self._requests.reject(request, nack.detail, nack.header)

    def _on_credit(self, peer: Peer, frame: Frame, now: float) -> None:
        if frame.flags & Flag.OF_STREAM:
            request = peer.requests.get(frame.id)
            # It may just have ended.
            if request is not None:
                self._requests.pay(request, frame)
            return
        subscription = peer.subscriptions.get(frame.channel)
        # Credit for what was just unsubscribed is no error: the two crossed on the way.
        if subscription is None:
            return
        if not subscription.group.is_broadcast:
            raise ProtocolError(f"the credit of channel {frame.channel} comes back with its settlements")
        self._courier.refund(subscription, frame.detail, frame.id, now)

    def _delivery(self, peer: Peer, frame: Frame) -> Delivery | None:
        """The delivery that a frame settles; None if it is settled already."""
        if not 0 < frame.id <= peer.last_delivery:
            raise ProtocolError(f"delivery {frame.id} was never made on this connection")
        return peer.deliveries.get(frame.id)

    # The end of a request.

    def _on_cancel(self, peer: Peer, frame: Frame, now: float) -> None:
        request = peer.requests.get(frame.id)
        # No such request: its answer crossed the cancellation on the way.
        if request is not None:
            self.counters.cancelled += 1
            self._requests.cancel(request)

    def _lost(self, delivery: Delivery) -> None:
        request = delivery.job.request
        if request is None:
            return
        if request.wants_reply:
            self._requests.refuse(request, _gone(delivery.subscription.peer))
        else:
            self.counters.lost_commands += 1

    # Who listens.

    def _on_subscribe(self, peer: Peer, frame: Frame, now: float) -> None:
        if peer.draining:
            raise ProtocolError("a draining connection cannot subscribe", code=Code.UNEXPECTED_FRAME)
        subscription = self._topology.join(peer, frame)
        granted = Frame(Kind.CONFIRM, id=frame.id, detail=subscription.credit_messages, ttl=subscription.credit_bytes)
        self._output.emit(peer, granted)
        self._courier.pump(subscription.group, now)

    def _on_unsubscribe(self, peer: Peer, frame: Frame, now: float) -> None:
        subscription = peer.subscriptions.get(frame.channel)
        if subscription is not None:
            self._left(subscription, self._topology.leave(subscription), now)
        self._output.emit(peer, Frame(Kind.CONFIRM, id=frame.id))

    def _on_describe(self, peer: Peer, frame: Frame, now: float) -> None:
        """Tell what the subscriptions to a topic say of themselves; it is over at once, so nothing is kept."""
        self._requests.check(peer, frame.id)
        for subscription in self._topology.described(frame):
            self._output.partial(peer, frame.id, Frame.of(Kind.REPLY, body=subscription.contract), subscription.peer)
        self._output.emit(peer, Frame(Kind.REPLY, id=frame.id))

    def _on_drain(self, peer: Peer, frame: Frame, now: float) -> None:
        peer.draining = True
        self._leave_all(peer, now)
        self._output.emit(peer, Frame(Kind.DRAIN))

    def _leave_all(self, peer: Peer, now: float) -> None:
        # Out of all first: what waits in a group that it was in twice must not be given to it on the way.
        left = [(member, self._topology.leave(member)) for member in list(peer.subscriptions.values())]
        for member, group in left:
            self._left(member, group, now)

    def _left(self, member: Subscription, group: ConsumerGroup, now: float) -> None:
        for job in list(member.addressed):
            member.drop(job)
            if job.request is not None:
                self._requests.refuse(job.request, _gone(member.peer))
        if group.members:
            self._courier.pump(group, now)
            return
        for job in group.drop_all():
            if job.request is not None:
                self._left_alone(job.request, group)
        self._courier.release(group)

    def _left_alone(self, request: Request, group: ConsumerGroup) -> None:
        request.waits_in = None
        if request.done and not request.wants_reply:
            self.counters.lost_commands += 1
        else:
            self._requests.refuse(request, NoHandlerError("the last handler has left", topic=group.pattern))


def _gone(peer: Peer) -> HandlerLostError:
    return HandlerLostError(f"instance {peer.instance!r} of the service {peer.service!r} is gone")
