"""Whose turn it is, and what waits."""

from cqrsbus.routing.consumer_group import ConsumerGroup, SubscriptionKind
from cqrsbus.routing.job import Job
from cqrsbus.routing.peer import Peer, Subscription
from cqrsbus.wire.frames import Frame, Kind


def group_of(*credits: int, credit_bytes: int = 1000) -> ConsumerGroup:
    group = ConsumerGroup(SubscriptionKind.EVENT, "e", name="g")
    for number, credit in enumerate(credits):
        peer = Peer(number, "s", f"s-{number}")
        group.members.append(Subscription(peer, 1, group, credit_messages=credit, credit_bytes=credit_bytes))
    return group


def job(size: int = 10) -> Job:
    return Job(Frame(Kind.PUBLISH, tail=bytes(size)), b"", deadline=None, flags=0)


def give(group: ConsumerGroup, size: int = 10) -> int | None:
    member = group.next_member()
    if member is None:
        return None
    group.give(member, job(size))
    return member.peer.number


def test_equals_take_turns() -> None:
    group = group_of(9, 9, 9)
    assert [give(group) for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_the_least_busy_is_next() -> None:
    group = group_of(9, 9)
    for _ in range(4):
        give(group)
    group.members[1].give_back(2, 20)
    assert [give(group) for _ in range(4)] == [1, 1, 0, 1]


def test_without_credit_nobody_is_next() -> None:
    group = group_of(1, 2)
    assert [give(group) for _ in range(4)] == [0, 1, 1, None]
    assert group_of().next_member() is None


def test_bytes_are_credit_too_and_the_last_message_may_exceed_them() -> None:
    group = group_of(9, credit_bytes=15)
    assert [give(group) for _ in range(3)] == [0, 0, None]
    group.members[0].give_back(1, 10)
    assert give(group, size=5000) == 0
    assert give(group) is None


def test_more_credit_than_was_taken_is_not_believed() -> None:
    group = group_of(2)
    group.members[0].give_back(50, 5000)
    assert [give(group) for _ in range(3)] == [0, 0, None]


def test_what_is_handed_back_comes_first_in_the_order_in_which_it_is_handed_back() -> None:
    group = ConsumerGroup(SubscriptionKind.COMMAND, "a.b")
    jobs = [job(size) for size in (1, 2, 3, 4)]
    for each in jobs:
        group.enqueue(each)
    for each in (group.dequeue(), group.dequeue()):
        group.enqueue_again(each)
    assert group.waiting == 4
    group.drop(jobs[1])
    assert [group.dequeue() for _ in range(3)] == [jobs[0], jobs[2], jobs[3]]


def test_the_queue_is_first_in_first_out_and_anything_can_leave() -> None:
    group, jobs = group_of(), [job(size) for size in range(1, 6)]
    for each in jobs:
        group.enqueue(each)
    assert group.queued_bytes == 15
    group.drop(jobs[1])
    assert group.dequeue() is jobs[0]
    group.enqueue_again(jobs[0])
    assert group.queued_bytes == 13
    assert group.dequeue() is jobs[0]
    assert group.drop_all() == jobs[2:]
    assert (group.queued_bytes, group.waiting) == (0, 0)


def test_only_an_event_subscription_of_its_own_is_a_broadcast() -> None:
    assert ConsumerGroup(SubscriptionKind.EVENT, "e").is_broadcast
    assert not ConsumerGroup(SubscriptionKind.EVENT, "e", name="g").is_broadcast
    assert not ConsumerGroup(SubscriptionKind.COMMAND, "e", owner="s").is_broadcast
    assert not ConsumerGroup(SubscriptionKind.QUERY, "e").is_broadcast
