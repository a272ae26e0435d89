"""Hands messages to members, within their credit, and takes back what they are done with.

The rules:

1. A message is given at once if a member has credit and nothing waits before it; else it waits in its
   group's queue, within the group's bounds.
2. A queue that is half full holds its publishers back: their windows are not refilled until it has drained to
   a quarter. A publisher waits, and nothing is lost, as long as the consumer makes progress.
3. A consumer that holds publishers back and makes no progress for ``stall_timeout`` is given up: a subscriber
   of its own is cut off (SLOW_CONSUMER), a group's queue is dropped and counted.
4. A queue over its bound refuses: the caller of a command or a query is told QUEUE_FULL, a subscriber is cut
   off, an event for a group is dropped and counted.
5. What has expired while it waited is never started.
6. What is for one member and no other waits for that member's credit, before what is for any of the group.
"""

from typing import Final

from cqrsbus.errors import Code, QueueFullError
from cqrsbus.routing.consumer_group import ConsumerGroup
from cqrsbus.routing.counters import Counters
from cqrsbus.routing.deadlines import DeadlineHeap
from cqrsbus.routing.job import Delivery, Job, Poll, Request
from cqrsbus.routing.limits import RoutingLimits
from cqrsbus.routing.output import Output
from cqrsbus.routing.peer import Peer, Subscription
from cqrsbus.wire.frames import MAX_U32, Flag, Frame, Kind

_SETTLED: Final = Flag.NEEDS_ACK | Flag.NEEDS_REPLY


class Courier:
    """Gives jobs to members of consumer groups.

    Args:
        limits: The bounds of queues and windows.
        counters: What to count in.
        output: Where frames to emit are collected.
        deadlines: Where requests and stalled groups wait for their time.
    """

    def __init__(
        self,
        limits: RoutingLimits,
        counters: Counters,
        output: Output,
        deadlines: DeadlineHeap[Request | Poll | ConsumerGroup],
    ) -> None:
        self._limits = limits
        self._counters = counters
        self._output = output
        self._deadlines = deadlines

    def offer(self, group: ConsumerGroup, job: Job, now: float) -> bool:
        """Give a message to a member, or let it wait; returns whether it was given, a batch wholly.

        Raises:
            QueueFullError: The group's queue is full (never for a group of one).
        """
        if not group.has_waiting and (member := group.next_member()) is not None:
            rest = self._give_what_fits(group, member, job, now)
            if rest is None:
                return True
            job = rest
        # Near the bound they are looked at one by one.
        for each in job.singles() if job.count > 1 and self._exceeds(group, job) else (job,):
            if group.is_cut_off:
                self._counters.dropped_events += each.count
            elif self.is_full(group, each):
                self._overflow(group, each)
            else:
                group.enqueue(each)
        if group.is_cut_off:
            return False
        if job.request is not None:
            job.request.waits_in = (group, job)
        return False

    def offer_to(self, member: Subscription, job: Job, now: float) -> None:
        """Give a message to this very member, or let it wait for the member's credit.

        Raises:
            QueueFullError: Too much waits for the member already.
        """
        if member.has_credit and not member.addressed:
            self._give(member.group, member, job, now)
            return
        waiting, size = len(member.addressed), member.addressed_bytes
        if waiting and (waiting >= self._limits.max_queue_messages or size + job.size > self._limits.max_queue_bytes):
            raise QueueFullError(f"{waiting} messages ({size} bytes) already wait for this instance; try again later")
        member.enqueue(job)
        if job.request is not None:
            job.request.waits_in = (member, job)

    def _pump_member(self, member: Subscription, now: float) -> None:
        while member.addressed and member.has_credit:
            job = next(iter(member.addressed))
            member.drop(job)
            self._give_unless_late(member.group, member, job, now)

    def pump(self, group: ConsumerGroup, now: float) -> None:
        """Give waiting messages to members while there is credit."""
        while group.has_waiting and (member := group.next_member()) is not None:
            job = group.dequeue()
            group.last_progress = now
            rest = self._give_unless_late(group, member, job, now)
            if rest is not None:
                group.enqueue_again(rest)
        if group.held and not self._is_congested(group, share=2):
            self.release(group)

    def settle(self, delivery: Delivery, now: float) -> None:
        """A member is done with a message: its credit comes back."""
        subscription = delivery.subscription
        del subscription.peer.deliveries[delivery.id]
        self.refund(subscription, 1, delivery.job.size, now)

    def refund(self, subscription: Subscription, messages: int, size: int, now: float) -> None:
        """Return credit to a subscription and give it what waits."""
        subscription.give_back(messages, size)
        if subscription.addressed:
            self._pump_member(subscription, now)
        if subscription.group.has_waiting:
            self.pump(subscription.group, now)

    def hand_back(self, delivery: Delivery, group: ConsumerGroup, now: float) -> None:
        """A member returns a message it has not started: somebody else of a group gets it, before all others."""
        subscription, job = delivery.subscription, delivery.job
        del subscription.peer.deliveries[delivery.id]
        if job.request is not None:
            job.request.delivery = None
            job.request.waits_in = (group, job)
        group.enqueue_again(job)
        self.refund(subscription, 1, job.size, now)
        if group is not subscription.group:
            self.pump(group, now)

    def hold_back(self, publisher: Peer, group: ConsumerGroup, now: float) -> None:
        """Do not refill a publisher's window while a group it feeds is congested."""
        if not self._is_congested(group):
            return
        if not group.held:
            group.last_progress = now
            self._deadlines.set(group, now + self._limits.stall_timeout)
        group.held.add(publisher)
        publisher.held_by.add(group)

    def release(self, group: ConsumerGroup) -> None:
        """Refill the windows of the publishers that a group held back."""
        self._deadlines.discard(group)
        held, group.held = group.held, set()
        for publisher in held:
            publisher.held_by.discard(group)
            self.refill(publisher, at_least=1)

    def forget(self, publisher: Peer) -> None:
        """A publisher is gone: nobody need hold it back, and no group be given up for its sake."""
        for group in publisher.held_by:
            group.held.discard(publisher)
            if not group.held:
                self._deadlines.discard(group)

    def refill(self, publisher: Peer, *, at_least: int) -> None:
        """Return the window a publisher has used, once that is worth a frame."""
        if publisher.unreturned >= at_least and not publisher.held_by:
            self._output.emit(publisher, Frame(Kind.CREDIT, id=publisher.unreturned))
            publisher.unreturned = 0

    def check_stall(self, group: ConsumerGroup, now: float) -> None:
        """The time of a congested group is up: give it up unless it has made progress."""
        due = group.last_progress + self._limits.stall_timeout
        if now < due:
            self._deadlines.set(group, due)
            return
        if group.is_broadcast:
            self._cut_off(group)
        else:
            self._counters.dropped_events += sum(job.count for job in group.drop_all())
        self.release(group)

    def _give_unless_late(self, group: ConsumerGroup, member: Subscription, job: Job, now: float) -> Job | None:
        if job.deadline is None or job.deadline > now:
            return self._give_what_fits(group, member, job, now)
        if job.request is not None:
            # Its caller is told when the deadline comes up in the heap.
            job.request.waits_in = None
        else:
            self._counters.expired += job.count
        return None

    def _give_what_fits(self, group: ConsumerGroup, member: Subscription, job: Job, now: float) -> Job | None:
        """Give as much of a batch as the member has credit for; returns the rest."""
        rest = None
        if job.count > 1 and (job.count > member.room or job.size > member.room_bytes):
            job, rest = job.cut(member.room, member.room_bytes)
        self._give(group, member, job, now)
        return rest

    def _give(self, group: ConsumerGroup, member: Subscription, job: Job, now: float) -> None:
        peer, delivery_id = member.peer, 0
        if job.flags & _SETTLED:
            peer.last_delivery = delivery_id = peer.last_delivery + 1
            delivery = peer.deliveries[delivery_id] = Delivery(delivery_id, job, member)
            if job.request is not None:
                self._given(job.request, job, delivery)
        group.give(member, job)
        self._counters.delivered += job.count
        self._output.deliver(member, job, delivery_id, 0 if job.deadline is None else _remaining(job.deadline, now))
        if job.flags & Flag.STREAMED and job.request is not None:
            self._stream_begins(job.request)

    def _given(self, request: Request, job: Job, delivery: Delivery) -> None:
        request.waits_in = None
        if request.wants_reply:
            request.delivery = delivery
        elif not request.done:
            request.done = True
            # The time was for getting it accepted; an accepted command is not dropped for being late.
            job.deadline = None
            self._deadlines.discard(request)
            request.peer.requests.pop(request.id, None)
            self._output.emit(request.peer, Frame(Kind.CONFIRM, id=request.id))

    def _stream_begins(self, request: Request) -> None:
        """The caller learns that it was started, the handler how much it may answer."""
        if request.credit is None or request.delivery is None:
            return
        self._output.emit(request.peer, Frame(Kind.CONFIRM, id=request.id))
        if request.credit.items or request.credit.size:
            self._output.pay(request.delivery, request.credit.items, request.credit.size)

    def is_full(self, group: ConsumerGroup, job: Job) -> bool:
        """Whether a message can neither be given nor wait."""
        # However large, one message may wait.
        return group.waiting > 0 and self._exceeds(group, job)

    @staticmethod
    def too_many(group: ConsumerGroup) -> QueueFullError:
        """What the caller is told then."""
        return QueueFullError(
            f"{group.waiting} messages ({group.queued_bytes} bytes) already wait for "
            f"{len(group.members)} handler(s); try again later",
            topic=group.pattern,
        )

    def _exceeds(self, group: ConsumerGroup, job: Job) -> bool:
        return (
            group.waiting + job.count > self._limits.max_queue_messages
            or group.queued_bytes + job.size > self._limits.max_queue_bytes
        )

    def _is_congested(self, group: ConsumerGroup, *, share: int = 1) -> bool:
        return (
            group.queued_bytes * share >= self._limits.congested_bytes
            or group.waiting * share >= self._limits.congested_messages
        )

    def _overflow(self, group: ConsumerGroup, job: Job) -> None:
        if group.is_broadcast:
            self._counters.dropped_events += job.count
            self._cut_off(group)
            return
        raise self.too_many(group)

    def _cut_off(self, group: ConsumerGroup) -> None:
        group.is_cut_off = True
        self._counters.dropped_events += sum(job.count for job in group.drop_all())
        for member in group.members:
            self._output.end(
                member.peer,
                Code.SLOW_CONSUMER,
                f"the subscription to {group.pattern!r} did not keep up with what is published",
            )


def _remaining(deadline: float, now: float) -> int:
    """Milliseconds left, for the head; 0 would mean no limit."""
    return min(MAX_U32, max(1, int((deadline - now) * 1000)))
