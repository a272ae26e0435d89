"""Events: from a publisher to every subscription that hears them, and to one member of each group.

The rules:

1. A publisher uses its window for what it publishes, refused or not, and gets it back in bulk.
2. A batch is looked up once. It goes on as it came to those who take batches, and one by one to all others: the members
   of a group are given, and settle, one at a time.
3. A group whose queue is full loses the event; a subscription of its own is cut off.
"""

from cqrsbus.errors import Code, ProtocolError, QueueFullError
from cqrsbus.routing.consumer_group import ConsumerGroup
from cqrsbus.routing.counters import Counters
from cqrsbus.routing.courier import Courier
from cqrsbus.routing.job import Job, deadline_of
from cqrsbus.routing.peer import Peer
from cqrsbus.routing.topology import Topology
from cqrsbus.wire.batch import MAX_BATCH_HEADER, check_batch, frames_size, messages_in
from cqrsbus.wire.envelope import check_envelope
from cqrsbus.wire.frames import Flag, Frame


class FanOut:
    """Gives events to all who hear them.

    Args:
        window: Bytes of events that a publisher may have under way.
        max_header: Bytes that the header of a batch may have.
        topology: Who hears what.
        courier: What gives jobs to members.
        counters: What to count in.
    """

    def __init__(self, window: int, max_header: int, topology: Topology, courier: Courier, counters: Counters) -> None:
        self._window = window
        self._max_header = min(max_header, MAX_BATCH_HEADER)
        self._topology = topology
        self._courier = courier
        self._counters = counters

    def publish(self, peer: Peer, frame: Frame, now: float) -> None:
        """Carry out a PUBLISH.

        Raises:
            ProtocolError: The frame is malformed, or WINDOW_EXCEEDED.
            InvalidTopicError: It is not a topic.
        """
        if frame.flags & Flag.BATCH:
            check_batch(frame, self._max_header)
        else:
            check_envelope(frame.header)
        self._counters.published += messages_in(frame)
        if peer.unreturned >= self._window:
            raise ProtocolError("published beyond the window", code=Code.WINDOW_EXCEEDED)
        peer.unreturned += frames_size(frame)
        try:
            self._offer_to_all(peer, frame, now)
        finally:
            # A refused event has used the window too.
            self._courier.refill(peer, at_least=self._window // 2)

    def _offer_to_all(self, peer: Peer, frame: Frame, now: float) -> None:
        deadline = deadline_of(frame, now)
        whole = Job(frame, peer.stamp, deadline, frame.flags & Flag.BATCH)
        singles: list[Job] = []
        for group in self._topology.event_groups(frame.topic_bytes):
            if group.is_broadcast and (not whole.flags or group.members[0].batches):
                self._offer(peer, group, whole, now)
                continue
            # Once for all who do not take them together.
            singles = singles or (whole.singles() if whole.flags else [whole])
            for single in singles:
                job = single if group.is_broadcast else Job(single.content, peer.stamp, deadline, Flag.NEEDS_ACK)
                self._offer(peer, group, job, now)

    def _offer(self, peer: Peer, group: ConsumerGroup, job: Job, now: float) -> None:
        if group.is_cut_off:
            self._counters.dropped_events += job.count
            return
        try:
            given = self._courier.offer(group, job, now)
        except QueueFullError:
            self._counters.dropped_events += 1
            given = False
        if not given:
            self._courier.hold_back(peer, group, now)
