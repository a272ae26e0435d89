"""The calls of a bus: what they hand to the link, how long they may take, and what they return."""

import math
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from pydantic import BaseModel

from cqrsbus.bus.caller import Caller
from cqrsbus.bus.codec import JSON, MSGPACK
from cqrsbus.bus.composer import Composer
from cqrsbus.bus.context import Context, current_context
from cqrsbus.bus.handler import EVENT_PREFETCH, LEAST_PREFETCH
from cqrsbus.bus.time_left import EARLY
from cqrsbus.errors import DeadlineExceededError, InvalidMessageError, InvalidTopicError, NoHandlerError
from cqrsbus.links.answer import Answer
from cqrsbus.links.line import Line
from cqrsbus.links.outgoing import Outgoing
from cqrsbus.links.port import Sink, SubscriptionSpec
from cqrsbus.links.publisher import Publisher
from cqrsbus.messages import Command, Event, Query
from cqrsbus.wire.envelope import decode_envelope
from tests.links.channels import FakeChannel

pytestmark = pytest.mark.anyio


class Found(BaseModel):
    count: int


class Find(Query[Found], topic="find"):
    word: str = ""


class Store(Command, topic="store"):
    word: str = ""


class Stored(Event, topic="stored"):
    word: str = ""


class FakeOpened:
    """A call that was sent at once; notes whether it was left."""

    def __init__(self, answer: Answer | Exception | None) -> None:
        self.answer = answer
        self.left = 0

    async def end(self) -> None:
        if self.answer is None:
            await anyio.sleep_forever()
        await checkpoint()

    def result(self) -> None:
        if isinstance(self.answer, Exception):
            raise self.answer

    def said(self) -> Answer:
        assert self.answer is not None
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def leave(self) -> None:
        self.left += 1


class FakeLink:
    """Notes what it is given, and answers what it is told to."""

    def __init__(self) -> None:
        self.sent: Outgoing | None = None
        self.timeout: float | None = None
        self.waited: bool | None = None
        self.answer = Answer(MSGPACK.content_type, MSGPACK.encode({"count": 3}))
        self.opened: FakeOpened | None = None
        self.channel = FakeChannel()
        line = Line("fake")
        line.connect(self.channel)
        self.publisher = Publisher(line)
        self.publisher.window.reset(65536)
        self.spec: SubscriptionSpec | None = None
        self.unsubscribed = False

    async def send(self, message: Outgoing, *, timeout: float | None, wait: bool) -> None:
        self.sent, self.timeout, self.waited = message, timeout, wait

    def send_nowait(self, message: Outgoing, timeout: float | None, wait: bool) -> FakeOpened | None:
        if self.opened is not None:
            self.sent, self.timeout, self.waited = message, timeout, wait
        return self.opened

    def ask_nowait(self, message: Outgoing, timeout: float | None) -> FakeOpened | None:
        if self.opened is not None:
            self.sent, self.timeout = message, timeout
        return self.opened

    async def ask(self, message: Outgoing, *, timeout: float | None) -> Answer:
        self.sent, self.timeout = message, timeout
        return self.answer

    async def publish(self, message: Outgoing, *, timeout: float | None) -> None:
        self.sent, self.timeout = message, timeout

    async def subscribe(self, spec: SubscriptionSpec, sink: Sink, *, timeout: float | None) -> "FakeLink":
        self.spec, self.timeout = spec, timeout
        return self

    async def unsubscribe(self) -> None:
        self.unsubscribed = True


@pytest.fixture
def link() -> FakeLink:
    return FakeLink()


@pytest.fixture
def caller(link: FakeLink) -> Caller:
    made = Caller(Composer(MSGPACK))
    made._place_on(link, anyio.current_effective_deadline)  # type: ignore[arg-type]  # all of a link that a caller uses
    return made


@contextmanager
def handling(deadline: float | None) -> Generator[None]:
    token = current_context.set(Context(message_id="m", topic="t", deadline=deadline))
    try:
        yield
    finally:
        current_context.reset(token)


async def test_a_query_is_left_before_the_end_of_its_callers_scope_is_waited_for(
    caller: Caller, link: FakeLink
) -> None:
    class Expired(FakeOpened):
        async def end(self) -> None:
            """No other task runs before it is left, be the machine as slow as it may."""

        def leave(self) -> None:
            in_time.append(not scope.cancel_called)

    in_time: list[bool] = []
    link.opened = Expired(DeadlineExceededError("too late", stage="handler"))
    with anyio.fail_after(5), anyio.move_on_after(EARLY / 2) as scope:
        await caller.ask(Find())
    assert scope.cancelled_caught
    assert in_time == [True]


async def test_a_query_that_is_sent_at_once_is_left_with_its_answer(caller: Caller, link: FakeLink) -> None:
    link.opened = asked = FakeOpened(Answer(MSGPACK.content_type, MSGPACK.encode({"count": 5})))
    assert (await caller.ask(Find(), timeout=7)).count == 5
    assert (link.timeout, asked.left) == (7, 1)


@pytest.mark.parametrize("wait", [False, True])
async def test_a_command_that_is_sent_at_once_is_left_when_it_has_ended(
    caller: Caller, link: FakeLink, wait: bool
) -> None:
    link.opened = sent = FakeOpened(Answer(MSGPACK.content_type, b""))
    await caller.send(Store(), timeout=7, wait=wait)
    assert (link.timeout, link.waited, sent.left) == (7, wait, 1)


CALLS: list[Callable[[Caller], Coroutine[Any, Any, object]]] = [
    lambda caller: caller.ask(Find()),
    lambda caller: caller.send(Store()),
    lambda caller: caller.send(Store(), wait=True),
]


@pytest.mark.parametrize("call", CALLS, ids=["ask", "send", "send and wait"])
async def test_what_is_sent_at_once_is_left_with_its_error(
    caller: Caller, link: FakeLink, call: Callable[[Caller], Coroutine[Any, Any, object]]
) -> None:
    link.opened = opened = FakeOpened(NoHandlerError())
    with pytest.raises(NoHandlerError):
        await call(caller)
    assert opened.left == 1


@pytest.mark.parametrize("call", CALLS, ids=["ask", "send", "send and wait"])
async def test_what_is_sent_at_once_is_left_by_who_is_cancelled(
    caller: Caller, link: FakeLink, call: Callable[[Caller], Coroutine[Any, Any, object]]
) -> None:
    link.opened = opened = FakeOpened(None)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, caller)
            await anyio.wait_all_tasks_blocked()
            assert opened.left == 0
            tasks.cancel_scope.cancel()
    assert opened.left == 1


async def test_the_two_forms_of_each_call(caller: Caller, link: FakeLink) -> None:
    for word, sending in (
        ("a", caller.send(Store(word="a"))),
        ("b", caller.send("store", Store(word="b"), wait=True)),
        ("c", caller.send("store", {"word": "c"})),
    ):
        await sending
        assert link.sent is not None
        assert (link.sent.topic, link.sent.body) == ("store", MSGPACK.encode({"word": word}))
        assert link.waited is (word == "b")


async def test_an_event_says_what_it_is_told_to(caller: Caller, link: FakeLink) -> None:
    await caller.publish(Stored(word="d"), headers={"k": "v"}, message_id="m-1")
    await caller.publish("stored", Stored(word="d"), headers={"k": "v"})
    said = [(frame.topic, frame.body, decode_envelope(frame.header)) for frame in link.channel.frames]
    assert [(topic, body) for topic, body, _ in said] == [("stored", MSGPACK.encode({"word": "d"}))] * 2
    assert [envelope.headers for _, _, envelope in said] == [{"k": "v"}] * 2
    assert said[0][2].message_id == "m-1" != said[1][2].message_id


async def test_an_answer_is_what_was_asked_for(caller: Caller, link: FakeLink) -> None:
    assert await caller.ask(Find()) == Found(count=3)
    assert await caller.ask("elsewhere", Find()) == Found(count=3)
    assert await caller.ask("elsewhere", {"word": ""}, returns=Found) == Found(count=3)
    assert await caller.ask("elsewhere", {"word": ""}) == {"count": 3}
    assert await caller.ask("find", Find(), returns=dict[str, float]) == {"count": 3.0}
    link.answer = Answer(JSON.content_type, b'{"count":4}')
    assert await caller.ask(Find()) == Found(count=4)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(MSGPACK.content_type, MSGPACK.encode({"count": "x"})),
        Answer(MSGPACK.content_type, b"\xc1"),
        Answer("text/plain", b"3"),
    ],
)
async def test_an_answer_that_is_not(caller: Caller, link: FakeLink, answer: Answer) -> None:
    link.answer = answer
    with pytest.raises(InvalidMessageError, match=r"'find': the answer: "):
        await caller.ask(Find())


async def test_an_answer_type_that_cannot_be_carried_is_refused_before_anything_is_sent(
    caller: Caller, link: FakeLink
) -> None:
    with pytest.raises(InvalidMessageError):
        await caller.ask("find", 1, returns=Iterator)
    assert link.sent is None


class TestHowLong:
    async def test_three_seconds_unless_told_otherwise(self, caller: Caller, link: FakeLink) -> None:
        await caller.ask(Find())
        assert link.timeout == 3.0
        await caller.ask(Find(), timeout=None)
        assert link.timeout is None

    @pytest.mark.parametrize("tightest", ["timeout", "scope", "message"])
    async def test_the_tightest_of_all_counts(self, caller: Caller, link: FakeLink, tightest: str) -> None:
        seconds = dict.fromkeys(("timeout", "scope", "message"), 2000.0) | {tightest: 1000.0}
        now = anyio.current_time()
        link.publisher.window.reset(0)
        with anyio.move_on_after(seconds["scope"]), handling(now + seconds["message"]):
            for call in (
                caller.ask(Find(), timeout=seconds["timeout"]),
                caller.send(Store(), timeout=seconds["timeout"]),
                caller.publish(Stored(), timeout=seconds["timeout"]),
                caller.subscribe("e", timeout=seconds["timeout"]).__aenter__(),
            ):
                link.timeout = None
                await call
                assert link.timeout is not None
                assert link.timeout == pytest.approx(1000, abs=10)

    async def test_time_that_is_over_is_none_left(self, caller: Caller, link: FakeLink) -> None:
        with handling(anyio.current_time() - 5):
            await caller.ask(Find(), timeout=None)
        assert link.timeout == 0.0

    async def test_a_message_without_a_deadline_sets_none(self, caller: Caller, link: FakeLink) -> None:
        with handling(None):
            await caller.ask(Find(), timeout=math.inf)
        assert link.timeout is None


@pytest.mark.parametrize("message_id", [None, "m-1"])
async def test_an_event_waits_only_where_it_has_to(caller: Caller, link: FakeLink, message_id: str | None) -> None:
    await caller.publish(Stored(), message_id=message_id)
    assert (len(link.channel.frames), link.sent) == (1, None)
    link.publisher.window.reset(0)
    await caller.publish(Stored(word="w"), timeout=7, headers={"k": "v"}, message_id=message_id)
    assert (len(link.channel.frames), link.timeout) == (1, 7)
    assert link.sent is not None
    assert (link.sent.topic, link.sent.body) == ("stored", MSGPACK.encode({"word": "w"}))
    assert link.sent.envelope.headers == {"k": "v"}
    assert message_id in (None, link.sent.envelope.message_id)


@pytest.mark.parametrize(("group", "credit"), [("", EVENT_PREFETCH), ("g", LEAST_PREFETCH)])
async def test_listening(caller: Caller, link: FakeLink, group: str, credit: int) -> None:
    subscription = caller.subscribe("e.>", Stored, group=group, timeout=7)
    assert link.spec is None
    async with subscription:
        assert link.spec == SubscriptionSpec(kind="event", pattern="e.>", group=group, credit_messages=credit)
        assert caller._listening == {subscription}
    assert link.unsubscribed
    assert caller._listening == set()


async def test_what_cannot_be_listened_to(caller: Caller) -> None:
    with pytest.raises(InvalidTopicError):
        caller.subscribe("a..b")
    with pytest.raises(InvalidMessageError):
        caller.subscribe("a.b", Iterator)


@pytest.mark.parametrize(
    ("verb", "call"),
    [
        ("send", lambda caller: caller.send("t")),
        ("ask", lambda caller: caller.ask("t")),
        ("publish", lambda caller: caller.publish("t")),
        ("subscribe", lambda caller: caller.subscribe("t").__aenter__()),
    ],
)
async def test_calls_need_a_running_bus(verb: str, call: Callable[[Caller], Awaitable[object]]) -> None:
    with pytest.raises(RuntimeError, match=rf"bus\.{verb}\(\) needs a running bus"):
        await call(Caller(Composer(MSGPACK)))
