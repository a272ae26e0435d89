"""What is said to a peer, in order."""

from cqrsbus.errors import Code, QueueFullError
from cqrsbus.routing.output import Output
from cqrsbus.routing.peer import Peer
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import encode_header


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
