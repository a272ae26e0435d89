"""The exchange: what the router decides reaches the members, in order and in time."""

import anyio
import pytest

from cqrsbus.broker.exchange import Exchange
from cqrsbus.broker.limits import BrokerLimits
from cqrsbus.errors import Code
from cqrsbus.wire.frames import Frame, Kind
from tests.broker.raw import message, subscribe

pytestmark = pytest.mark.anyio


class FakeMember:
    """Keeps what it is given, flush by flush."""

    def __init__(self, exchange: Exchange, service: str) -> None:
        self.ending = False
        self.flushed: list[list[Kind]] = []
        self._put: list[Frame] = []
        self._heard = anyio.Event()
        self._exchange = exchange
        self.number = exchange.attach(self, service, f"{service}-1")

    def put(self, frame: Frame) -> None:
        self._put.append(frame)
        self.ending = self.ending or frame.kind == Kind.ERROR

    def flush(self) -> None:
        assert self._put, "flushed for nothing"
        self.flushed.append([Kind(frame.kind) for frame in self._put])
        self.last, self._put = self._put[-1], []
        self._heard.set()

    flush_soon = flush

    def say(self, *frames: Frame) -> None:
        self._exchange.receive(self.number, frames)

    def take(self) -> list[list[Kind]]:
        """What was flushed since the last look."""
        assert not self._put, "put and never flushed"
        taken, self.flushed = self.flushed, []
        return taken

    async def hear(self) -> list[list[Kind]]:
        """Wait for a flush."""
        self._heard = anyio.Event()
        await self._heard.wait()
        return self.take()


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


async def test_each_member_is_flushed_once_for_a_whole_batch(exchange: Exchange) -> None:
    publisher, *listeners = (FakeMember(exchange, name) for name in ("publisher", "one", "two", "idle"))
    one, two, idle = listeners
    for listener in (one, two):
        listener.say(subscribe("event", "e"))
        assert listener.take() == [[Kind.CONFIRM]]
    publisher.say(*(message(Kind.PUBLISH, "e", id=id) for id in range(1, 4)))
    assert one.take() == two.take() == [[Kind.DELIVER] * 3]
    assert publisher.take() == idle.take() == []


async def test_answers_find_who_asked(exchange: Exchange) -> None:
    asker, handler, other = (FakeMember(exchange, name) for name in ("asker", "handler", "other"))
    handler.say(subscribe("query", "q"))
    asker.say(message(Kind.ASK, "q", id=7))
    assert handler.take() == [[Kind.CONFIRM], [Kind.DELIVER]]
    handler.say(Frame(Kind.REPLY, id=handler.last.id))
    assert asker.take() == [[Kind.REPLY]]
    assert asker.last.id == 7
    assert other.take() == []


async def test_nothing_is_taken_from_who_was_sent_away(exchange: Exchange) -> None:
    culprit, listener = FakeMember(exchange, "culprit"), FakeMember(exchange, "listener")
    listener.say(subscribe("event", "e"))
    listener.take()
    culprit.say(
        message(Kind.PUBLISH, "e"), Frame(Kind.ACK, id=99), message(Kind.PUBLISH, "e"), message(Kind.PUBLISH, "e")
    )
    assert culprit.take() == [[Kind.ERROR]]
    assert listener.take() == [[Kind.DELIVER]]
    culprit.say(message(Kind.PUBLISH, "e"))
    assert listener.take() == []


async def test_who_waited_for_a_member_that_is_gone_is_told(exchange: Exchange) -> None:
    asker, handler = FakeMember(exchange, "asker"), FakeMember(exchange, "handler")
    handler.say(subscribe("query", "q"))
    asker.say(message(Kind.ASK, "q"))
    exchange.detach(handler.number)
    assert asker.take() == [[Kind.REJECT]]
    assert asker.last.detail == Code.HANDLER_LOST


async def test_time_passes_for_a_request_that_comes_later_and_ends_sooner(exchange: Exchange) -> None:
    asker, handler = FakeMember(exchange, "asker"), FakeMember(exchange, "handler")
    handler.say(subscribe("query", "q"))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            asker.say(message(Kind.ASK, "q", id=1, ttl=60_000))
            tasks.start_soon(exchange.run)
            await anyio.wait_all_tasks_blocked()
            asker.say(message(Kind.ASK, "q", id=2, ttl=10))
            assert await asker.hear() == [[Kind.REJECT]]
            assert (asker.last.id, asker.last.detail) == (2, Code.DEADLINE_EXCEEDED)
            assert handler.take()[-1] == [Kind.CANCEL]
            tasks.cancel_scope.cancel()


async def test_everybody_is_told_of_the_end(exchange: Exchange) -> None:
    members = [FakeMember(exchange, name) for name in ("one", "two")]
    exchange.announce_drain()
    assert [member.take() for member in members] == [[[Kind.DRAIN]]] * 2
    exchange.dismiss(Code.SHUTTING_DOWN, "the broker stops")
    assert [member.take() for member in members] == [[[Kind.ERROR]]] * 2
    assert [member.last.detail for member in members] == [Code.SHUTTING_DOWN] * 2


@pytest.mark.parametrize("end", ["answer", "leave", "expire"])
async def test_everybody_who_waits_for_the_last_answer_goes_on(exchange: Exchange, end: str) -> None:
    asker, handler = FakeMember(exchange, "asker"), FakeMember(exchange, "handler")
    handler.say(subscribe("query", "q"))
    passed = 0

    async def wait() -> None:
        nonlocal passed
        await exchange.wait_idle()
        passed += 1

    with anyio.fail_after(5):
        await exchange.wait_idle()
        async with anyio.create_task_group() as timer:
            timer.start_soon(exchange.run)
            async with anyio.create_task_group() as waiting:
                asker.say(message(Kind.ASK, "q", ttl=100 if end == "expire" else 0))
                waiting.start_soon(wait)
                waiting.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                handler.say(subscribe("event", "e", channel=2))
                assert passed == 0
                if end == "answer":
                    handler.say(Frame(Kind.REPLY, id=1))
                elif end == "leave":
                    exchange.detach(asker.number)
            timer.cancel_scope.cancel()
    assert passed == 2


async def test_its_limits_are_the_routers() -> None:
    limits = BrokerLimits()
    assert Exchange(limits).router.limits is limits.routing
