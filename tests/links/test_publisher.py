"""Events that are published at once, or refused."""

import pytest

from cqrsbus.errors import PayloadTooLargeError
from cqrsbus.links.line import Line
from cqrsbus.links.outgoing import Outgoing
from cqrsbus.links.publisher import EVENTS_PER_TURN, Publisher
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


@IDS
def test_an_event_is_put(id: str, publisher: Publisher, channel: FakeChannel) -> None:
    assert publisher.publish_nowait(event(id))
    assert [(frame.kind, frame.topic, frame.body) for frame in channel.frames] == [(Kind.PUBLISH, "t", b"x")]


@IDS
@pytest.mark.parametrize(("body", "header"), [(4096, 0), (1, 300)], ids=["body", "header"])
def test_what_is_too_large_is_refused(
    id: str, body: int, header: int, publisher: Publisher, channel: FakeChannel
) -> None:
    publisher.window.reset(1)
    with pytest.raises(PayloadTooLargeError, match="headers" if header else "4096") as caught:
        publisher.publish_nowait(event(id, bytes(body), header))
    assert caught.value.topic == "t"
    assert channel.frames == []
    assert publisher.window.is_open


def test_nothing_is_put_without_a_connection(publisher: Publisher, line: Line, channel: FakeChannel) -> None:
    line.disconnect()
    assert not publisher.publish_nowait(event("numbered"))
    assert channel.frames == []


def test_after_so_many_others_get_a_turn(publisher: Publisher, channel: FakeChannel) -> None:
    assert [publisher.publish_nowait(event("numbered")) for _ in range(EVENTS_PER_TURN + 1)].count(False) == 1
    assert len(channel.frames) == EVENTS_PER_TURN
    publisher.begin_turn()
    # The one that had to wait counts as well: a turn's events are a batch, and none goes alone.
    publisher.put(event("numbered"))
    assert [publisher.publish_nowait(event("numbered")) for _ in range(EVENTS_PER_TURN)].count(False) == 1
    assert len(channel.frames) == 2 * EVENTS_PER_TURN
