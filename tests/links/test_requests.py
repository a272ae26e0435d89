"""Requests that are made at once, or not at all."""

import math

import anyio
import pytest

from cqrsbus.errors import NoHandlerError, PayloadTooLargeError
from cqrsbus.links.call import Verb
from cqrsbus.links.calls import OpenCalls
from cqrsbus.links.line import Line
from cqrsbus.links.outgoing import Outgoing
from cqrsbus.links.requests import Requests
from cqrsbus.links.unbuffered_outbox import UnbufferedOutbox
from cqrsbus.wire.envelope import Envelope
from cqrsbus.wire.frames import MAX_U32, Flag, Frame, Kind
from cqrsbus.wire.origin import Origin
from tests.links.channels import FakeChannel
from tests.links.scripted import outgoing

pytestmark = pytest.mark.anyio


class NotingPortions(UnbufferedOutbox):
    """It notes what was said to be enough for a portion."""

    def __init__(self, channel: FakeChannel) -> None:
        super().__init__(channel)
        self.enough: list[int] = []

    def put_portion(self, frame: Frame, enough: int) -> None:
        self.enough.append(enough)
        super().put_portion(frame, enough)

    def ask(self, topic: str, origin: Origin, number: int, body: bytes, id: int, ttl: int, enough: int) -> None:
        self.enough.append(enough)
        super().ask(topic, origin, number, body, id, ttl, enough)


class Portions(FakeChannel):
    """A channel with such an outbox."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = self.portions = NotingPortions(self)


@pytest.fixture
def channel() -> Portions:
    return Portions()


@pytest.fixture
def calls() -> OpenCalls:
    return OpenCalls()


@pytest.fixture
def requests(channel: Portions, calls: OpenCalls) -> Requests:
    line = Line("fake")
    line.connect(channel)
    return Requests(line, calls)


async def test_a_query_is_sent_and_answered(requests: Requests, channel: Portions, calls: OpenCalls) -> None:
    call = requests.ask(outgoing(), timeout=1000)
    assert call is not None
    (frame,) = channel.frames
    assert (frame.kind, frame.id, frame.body) == (Kind.ASK, call.id, b"x")
    assert 999_000 < frame.ttl <= 1_000_000
    calls.answer(Frame.of(Kind.REPLY, id=call.id, body=b"yes"))
    with anyio.fail_after(5):
        await call.end()
    assert call.said().body == b"yes"
    call.leave()
    assert len(calls) == 0
    assert channel.frames == [frame]


async def test_an_answer_that_is_an_error_is_raised(requests: Requests, calls: OpenCalls) -> None:
    call = requests.ask(outgoing(), timeout=None)
    assert call is not None
    call.fail(NoHandlerError())
    with pytest.raises(NoHandlerError):
        call.said()


async def test_who_leaves_without_an_answer_says_so(requests: Requests, channel: Portions, calls: OpenCalls) -> None:
    call = requests.ask(outgoing(), timeout=None)
    assert call is not None
    call.leave()
    assert [(frame.kind, frame.id) for frame in channel.frames] == [(Kind.ASK, call.id), (Kind.CANCEL, call.id)]
    assert len(calls) == 0


@pytest.mark.parametrize("way", ["no connection", "no room", "no place", "no time", "cancelled"])
async def test_nothing_is_sent_while_something_is_in_the_way(
    way: str, requests: Requests, channel: Portions, calls: OpenCalls
) -> None:
    timeout = 1000.0
    match way:
        case "no connection":
            requests = Requests(Line("fake"), calls)
        case "no room":
            channel.roomy = False
        case "no place":
            calls.most = 0
        case "no time":
            timeout = 0.0
        case _:
            timeout = -math.inf
    assert requests.ask(outgoing(), timeout) is None
    assert channel.frames == []
    assert len(calls) == 0


async def test_what_is_too_large_is_refused_and_takes_no_place(
    requests: Requests, channel: Portions, calls: OpenCalls
) -> None:
    with pytest.raises(PayloadTooLargeError):
        requests.ask(outgoing(channel.terms.max_frame), timeout=None)
    assert channel.frames == []
    assert len(calls) == 0


async def test_queries_that_say_the_same_may_be_joined(channel: Portions, calls: OpenCalls) -> None:
    line, origin = Line("fake"), Origin(Envelope("m"))
    line.connect(channel)
    requests = Requests(line, calls)
    for number in range(5):
        assert requests.ask(Outgoing("t", None, b"x", origin, number), timeout=0.3) is not None
    assert channel.portions.enough == [0, 1, 1, 2, 2]
    assert [(frame.id, frame.ttl, frame.header) for frame in channel.frames] == [
        (1 + number, 300, origin.header(number)) for number in range(5)
    ]
    for timeout, ttl in ((None, 0), (math.inf, 0), (1e-9, 1), (1e9, MAX_U32)):
        assert requests.ask(Outgoing("t", None, b"x", origin, 9), timeout) is not None
        assert channel.frames[-1].ttl == ttl
    opened = len(calls)
    with pytest.raises(PayloadTooLargeError):
        requests.ask(Outgoing("t", None, bytes(channel.terms.max_frame), origin, 9), None)
    for timeout in (0.0, -1.0, -math.inf):
        assert requests.ask(Outgoing("t", None, b"x", origin, 9), timeout) is None
    channel.roomy = False
    assert requests.ask(Outgoing("t", None, b"x", origin, 9), None) is None
    channel.roomy, calls.most = True, opened
    assert requests.ask(Outgoing("t", None, b"x", origin, 9), None) is None
    assert len(calls) == opened


@pytest.mark.parametrize(("wait", "flags"), [(False, int(Flag.NONE)), (True, int(Flag.WAIT))])
async def test_a_command_says_what_it_waits_for(requests: Requests, channel: Portions, wait: bool, flags: int) -> None:
    call = requests.send(outgoing(), 0.3, wait)
    assert call is not None
    assert [(frame.kind, frame.flags, frame.id) for frame in channel.frames] == [(Kind.SEND.value, flags, call.id)]
    # Whole milliseconds, rounded down.
    assert channel.frames[0].ttl in (299, 300)


async def test_queries_and_commands_are_sent_in_halves(requests: Requests, channel: Portions) -> None:
    for _ in range(5):
        assert requests.ask(outgoing(), timeout=None) is not None
    assert channel.portions.enough == [1, 1, 2, 2]
    assert requests.make(Verb.SEND, Kind.SEND, Flag.NONE, outgoing(), None) is not None
    assert channel.portions.enough == [1, 1, 2, 2, 3]
    assert [frame.kind for frame in channel.frames] == [Kind.ASK] * 5 + [Kind.SEND]
