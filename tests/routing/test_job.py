"""A message on its way."""

import pytest

from cqrsbus.routing.consumer_group import ConsumerGroup, SubscriptionKind
from cqrsbus.routing.job import Delivery, Job, Request, deadline_of
from cqrsbus.routing.peer import Peer, Subscription
from cqrsbus.wire.frames import MAX_U32, Frame, Kind


@pytest.mark.parametrize(("ttl", "deadline"), [(0, None), (1, 100.001), (3000, 103.0), (MAX_U32, 100 + MAX_U32 / 1000)])
def test_the_deadline_is_what_is_left_from_now(ttl: int, deadline: float | None) -> None:
    assert deadline_of(Frame(Kind.ASK, ttl=ttl), 100.0) == deadline


def test_a_message_counts_as_large_as_what_is_forwarded() -> None:
    frame = Frame.of(Kind.ASK, topic=b"topic", header=b"head", body=b"body")
    assert Job(frame, b"stamp", deadline=None, flags=0).size == 13


def test_a_request_begins_nowhere_and_open() -> None:
    peer = Peer(1, "s", "i")
    request = Request(peer, 5, wants_reply=True)
    assert (request.waits_in, request.delivery, request.done) == (None, None, False)
    job = Job(Frame(Kind.ASK), b"", deadline=None, flags=0, request=request)
    member = Subscription(peer, 1, ConsumerGroup(SubscriptionKind.QUERY, "q"), credit_messages=1, credit_bytes=1)
    delivery = Delivery(1, job, member)
    assert delivery.job.request is request
    assert job.attempt == 1
