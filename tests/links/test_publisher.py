"""Events that are published at once, or refused."""

import pytest

from cqrsbus.errors import PayloadTooLargeError
from cqrsbus.links.line import Line
from cqrsbus.links.outgoing import Outgoing
from cqrsbus.links.publisher import EVENTS_PER_TURN, Publisher
from cqrsbus.transports.outbox import Outbox
from cqrsbus.wire.envelope import Envelope
from cqrsbus.wire.frames import Kind
from cqrsbus.wire.origin import Origin
from tests.links.channels import FakeChannel


@pytest.fixture
def channel() -> FakeChannel:
    return FakeChannel(max_frame=4096, max_header=256)


@pytest.fixture
def line(channel: FakeChannel) -> Line:
    made = Line("fake")
    made.connect(channel)
    return made


@pytest.fixture
def publisher(line: Line) -> Publisher:
    made = Publisher(line)
    made.window.reset(65536)
    return made


def event(id: str, body: bytes = b"x", header: int = 0) -> Outgoing:
    """An event with an id of its own, or one that is numbered."""
    envelope = Envelope("m-1", headers={"k": "v" * header} if header else {})
    return Outgoing("t", envelope, body) if id == "own" else Outgoing("t", None, body, Origin(envelope), 1)


IDS = pytest.mark.parametrize("id", ["own", "numbered"])


def put(publisher: Publisher, count: int, id: str) -> int:
    """Put so many events as long as that takes no waiting, and say how many those were."""
    for done in range(count):
        if not publisher.is_open:
            return done
        publisher.put(event(id))
    return count


@IDS
def test_an_event_is_put(id: str, publisher: Publisher, channel: FakeChannel) -> None:
    publisher.put(event(id))
    assert [(frame.kind, frame.topic, frame.body) for frame in channel.frames] == [(Kind.PUBLISH, "t", b"x")]


@IDS
@pytest.mark.parametrize(("body", "header"), [(4096, 0), (1, 300)], ids=["body", "header"])
def test_what_is_too_large_is_refused(
    id: str, body: int, header: int, publisher: Publisher, channel: FakeChannel
) -> None:
    publisher.window.reset(1)
    with pytest.raises(PayloadTooLargeError, match="headers" if header else "4096") as caught:
        publisher.put(event(id, bytes(body), header))
    assert caught.value.topic == "t"
    assert channel.frames == []
    assert publisher.window.is_open


def test_nothing_is_put_without_a_connection(publisher: Publisher, line: Line) -> None:
    assert publisher.is_open
    line.disconnect()
    assert not publisher.is_open


@IDS
def test_after_so_many_others_get_a_turn(id: str, publisher: Publisher, channel: FakeChannel) -> None:
    assert put(publisher, EVENTS_PER_TURN + 1, id) == EVENTS_PER_TURN
    assert len(channel.frames) == EVENTS_PER_TURN
    publisher.begin_turn()
    # The one that had to wait counts as well: a turn's events are a batch, and none goes alone.
    publisher.put(event(id))
    assert put(publisher, EVENTS_PER_TURN, id) == EVENTS_PER_TURN - 1
    assert len(channel.frames) == 2 * EVENTS_PER_TURN


@IDS
def test_what_has_used_up_the_window_waits(id: str, publisher: Publisher, channel: FakeChannel) -> None:
    publisher.put(event(id))
    publisher.window.reset(2 * channel.frames[0].size)
    publisher.put(event(id))
    assert publisher.is_open
    publisher.put(event(id))
    assert not publisher.is_open


def test_where_it_waits_to_be_sent_it_is_put_there(channel: FakeChannel) -> None:
    channel.outbox = outbox = Outbox(lambda: None, lambda: None, None)
    line = Line("fake")
    line.connect(channel)
    publisher = Publisher(line)
    for _ in range(3):
        publisher.put(event("numbered"))
    assert (outbox.waiting, channel.frames) == (3, [])
