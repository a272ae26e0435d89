"""What a router keeps, looked at from within: nothing of it is for nobody."""

from cqrsbus.routing.consumer_group import ConsumerGroup
from cqrsbus.routing.job import Job, Poll, Request
from cqrsbus.routing.peer import Peer, Subscription
from cqrsbus.routing.router import Router


def assert_nothing_is_kept_for_nobody(router: Router, now: float) -> None:
    """At rest: whatever is open waits or is in somebody's hands, and whatever waits is for somebody."""
    peers = list(router._peers.values())
    for peer in peers:
        for opened in peer.requests.values():
            _assert_is_awaited(router, opened, now)
        for subscription in peer.subscriptions.values():
            _assert_all_wait_here(subscription, list(subscription.addressed), subscription.addressed_bytes)
    _assert_counts_add_up(peers)
    groups = _groups(router)
    for group in groups:
        _assert_all_wait_here(group, [*group._returned, *group._queue], group.queued_bytes)
        assert all(peer in peers for peer in group.held)
    _assert_time_is_for_somebody(router, [*(r for p in peers for r in p.requests.values()), *groups])


def _groups(router: Router) -> list[ConsumerGroup]:
    groups = {s.group: None for peer in router._peers.values() for s in peer.subscriptions.values()}
    return list(groups)


def _assert_is_awaited(router: Router, opened: Request | Poll, now: float) -> None:
    parts = list(opened.parts) if isinstance(opened, Poll) else [opened]
    assert parts, "a poll is open of which every part has ended"
    deadline = router._deadlines._deadlines.get(opened)
    for request in parts:
        assert not request.done
        assert opened is (request.poll or request)
        if request.waits_in is not None:
            assert request.delivery is None
            where, job = request.waits_in
            assert job.request is request
            assert job in (where.addressed if isinstance(where, Subscription) else where._queue | where._returned)
        elif request.delivery is not None:
            peer = request.delivery.subscription.peer
            assert router._peers[peer.number].deliveries[request.delivery.id] is request.delivery
        else:
            assert deadline is not None
            assert deadline <= now, "it is nowhere, and its time is not up"


def _assert_all_wait_here(where: Subscription | ConsumerGroup, jobs: list[Job], size: int) -> None:
    assert size == sum(job.size for job in jobs)
    for job in jobs:
        if job.request is not None and job.request.wants_reply:
            assert not job.request.done
        assert job.request is None or job.request.waits_in == (where, job)


def _assert_counts_add_up(peers: list[Peer]) -> None:
    for peer in peers:
        assert peer.contracts_size == 0
        for subscription in peer.subscriptions.values():
            in_hand = [d.job.size for d in peer.deliveries.values() if d.subscription is subscription]
            if not subscription.group.is_broadcast:
                assert (subscription.in_hand, subscription.in_hand_bytes) == (len(in_hand), sum(in_hand))


def _assert_time_is_for_somebody(router: Router, kept: list[Request | Poll | ConsumerGroup]) -> None:
    deadlines = router._deadlines._deadlines
    assert all(key in kept for key in deadlines)
    assert all((group in deadlines) == bool(group.held) for group in kept if isinstance(group, ConsumerGroup))
    assert router.next_deadline == min(deadlines.values(), default=None)


def assert_nothing_is_left(router: Router) -> None:
    """Once everybody has left."""
    topology = router._topology
    assert not router._peers
    for table in (topology._commands, topology._queries, topology._event_groups, topology._events._literal):
        assert not table
    root = topology._events._root
    for node in (root.children, root.ends, root.rest):
        assert not node
    assert len(router._deadlines) == 0
    assert router.next_deadline is None
    assert router.open_requests == 0
    assert not router._output.take()
