"""What is said to a peer, in order."""

from cqrsbus.errors import Code, QueueFullError
from cqrsbus.routing.consumer_group import ConsumerGroup, SubscriptionKind
from cqrsbus.routing.job import Job
from cqrsbus.routing.output import Output
from cqrsbus.routing.peer import Peer, Subscription
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import encode_header


def test_a_large_body_is_passed_on_in_the_portions_it_came_in() -> None:
    output, peer = Output(), Peer(1, "s", "i")
    member = Subscription(peer, 5, ConsumerGroup(SubscriptionKind.QUERY, "q"), credit_messages=1, credit_bytes=1)
    came = Frame(Kind.ASK, topic_size=1, id=9)
    came.come_in(b"tone", [b"two", memoryview(b"three")])
    output.deliver(member, Job(came, b"stamp", None, Flag.NEEDS_REPLY), 7, 0)
    output.answer(peer, 8, came, b"stamp")
    output.partial(peer, 8, came, peer)
    told = [frame for _, frame in output.take()]
    assert [frame.portions for frame in told] == [came.portions] * 3
    assert came.portions is not None
    assert [(frame.id, frame.tail_size, frame.topic) for frame in told] == [(id, 12, "t") for id in (7, 8, 8)]


def test_what_is_collected_is_taken_once_and_in_order() -> None:
    output, peer, other = Output(), Peer(1, "s", "i"), Peer(2, "s", "j")
    why = encode_header({"reason": "why"})
    reply = Frame.of(Kind.REPLY, id=3, channel=9, flags=Flag.FAILED, detail=300, header=why, body=b"b")
    output.emit(peer, Frame(Kind.PING))
    output.reject(other, 7, QueueFullError("why", topic="t"))
    output.end(peer, Code.SLOW_CONSUMER, "why")
    output.answer(other, 8, reply, b"stamp")
    answer = Frame.of(Kind.REPLY, id=8, flags=Flag.FAILED, detail=300, header=why, body=b"b")
    answer.stamp = b"stamp"
    assert output.take() == [
        (1, Frame(Kind.PING)),
        (2, Frame.of(Kind.REJECT, id=7, detail=Code.QUEUE_FULL, header=why)),
        (1, Frame.of(Kind.ERROR, detail=Code.SLOW_CONSUMER, header=why)),
        (2, answer),
    ]
    assert output.take() == []
