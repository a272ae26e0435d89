"""From a delivery to its settlement: exactly one, whatever the handler does."""

import logging
import threading
from collections.abc import Callable
from typing import Annotated, Any

import anyio
import pytest
from pydantic import AfterValidator, BaseModel, field_validator

from cqrsbus.bus.codec import JSON, MSGPACK
from cqrsbus.bus.context import Context, get_context
from cqrsbus.bus.dispatch import Binding, bind
from cqrsbus.bus.handler import EVENT_PREFETCH, LEAST_PREFETCH, Handler
from cqrsbus.bus.registry import HandlerGroup
from cqrsbus.errors import Code, DeadlineExceededError, InvalidMessageError
from cqrsbus.links.port import SubscriptionSpec
from cqrsbus.wire.envelope import Envelope
from tests.bus.deliveries import FakeDelivery, delivery

pytestmark = pytest.mark.anyio

DONE = ("done",)


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class Fragile(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def look_up(cls, number: int) -> int:
        return dict[int, int]()[number]


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "cqrsbus")
    return caplog


def only(group: HandlerGroup) -> Binding:
    (binding,) = bind(group.handlers, MSGPACK)
    return binding


def answering(function: Callable[..., object]) -> Binding:
    group = HandlerGroup()
    group.query_handler("q")(function)
    return only(group)


def raising(kind: str, error: BaseException, seen: list[object] | None = None) -> Binding:
    group = HandlerGroup()

    async def handle(message: int) -> int:
        if seen is not None:
            seen.append(message)
        raise error

    getattr(group, f"{kind}_handler")("t")(handle)
    return only(group)


async def worked_on(binding: Binding, work: FakeDelivery) -> tuple[Any, ...] | None:
    with anyio.fail_after(5):
        await binding.work(work)
    assert get_context() is None
    return work.settlement


async def test_an_answer() -> None:
    async def double(number: int) -> int:
        return 2 * number

    assert await worked_on(answering(double), delivery(21)) == ("reply", MSGPACK.content_type, MSGPACK.encode(42))


@pytest.mark.parametrize("kind", ["command", "event"])
async def test_a_command_or_event_is_done(kind: str) -> None:
    group, handled = HandlerGroup(), list[int]()

    async def handle(number: int) -> None:
        handled.append(number)

    getattr(group, f"{kind}_handler")("t")(handle)
    assert await worked_on(only(group), delivery(1)) == DONE
    assert handled == [1]


async def test_each_message_is_read_as_what_it_says_it_is() -> None:
    async def same(number: int) -> int:
        return number

    work = delivery(envelope=Envelope("m", content_type=JSON.content_type), body=b"7")
    assert await worked_on(answering(same), work) == ("reply", MSGPACK.content_type, MSGPACK.encode(7))


@pytest.mark.parametrize(
    ("error", "type", "reason"),
    [
        (KeyError("k"), "KeyError", "'k'"),
        (ValueError("x" * 5000), "ValueError", "x" * 1000),
        (OSError("a\udcff"), "OSError", "a\\udcff"),
        (SpeechlessError(), "SpeechlessError", "its text could not be made"),
        (ExceptionGroup("several", [ValueError()]), "ExceptionGroup", "several (1 sub-exception): ValueError"),
        (TimeoutError(), "TimeoutError", ""),
        (DeadlineExceededError("its own"), "DeadlineExceededError", "deadline exceeded: its own"),
    ],
)
@pytest.mark.parametrize("kind", ["command", "query"])
async def test_what_the_handler_raises_is_told_and_logged(
    kind: str, error: Exception, type: str, reason: str, log: pytest.LogCaptureFixture
) -> None:
    settlement = await worked_on(raising(kind, error), delivery(1, deadline=anyio.current_time() + 60))
    assert settlement == ("fail", Code.REMOTE_ERROR, {"type": type, "reason": reason})
    (record,) = log.records
    assert record.exc_info is not None
    assert record.exc_info[1] is error


async def test_a_call_inside_that_spent_the_callers_time_is_no_failure_of_the_handler() -> None:
    binding = raising("query", DeadlineExceededError("no answer"))
    settlement = await worked_on(binding, delivery(1, deadline=anyio.current_time()))
    assert settlement is not None
    assert settlement[:2] == ("fail", Code.DEADLINE_EXCEEDED)


async def test_what_an_event_handler_raises_is_logged_alone(log: pytest.LogCaptureFixture) -> None:
    assert await worked_on(raising("event", KeyError("k")), delivery(1)) == DONE
    assert len(log.records) == 1


async def test_an_answer_that_cannot_be_written() -> None:
    async def answer(number: int) -> object:
        return object()

    settlement = await worked_on(answering(answer), delivery(1))
    assert settlement is not None
    kind, code, fields = settlement
    assert (kind, code, fields["type"]) == ("fail", Code.REMOTE_ERROR, "InvalidMessageError")


@pytest.mark.parametrize("kind", ["command", "query"])
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: delivery("x"), "does not fit int"),
        (lambda: delivery(body=b"\xc1"), "not msgpack"),
        (lambda: delivery(1, envelope=Envelope("m", content_type="text/plain")), "content type"),
        (lambda: FakeDelivery(1), "header"),
    ],
)
async def test_what_cannot_be_read_never_reaches_the_handler(
    kind: str, make: Callable[[], FakeDelivery], reason: str
) -> None:
    seen: list[object] = []
    settlement = await worked_on(raising(kind, AssertionError(), seen), make())
    assert settlement is not None
    assert settlement[:2] == ("fail", Code.INVALID_MESSAGE)
    assert reason in settlement[2]["reason"]
    assert not seen


@pytest.mark.parametrize("make", [lambda: delivery("x"), lambda: FakeDelivery(1)], ids=["body", "header"])
async def test_an_unreadable_event_is_done_with(make: Callable[[], FakeDelivery]) -> None:
    seen: list[object] = []
    binding = raising("event", AssertionError(), seen)
    assert await worked_on(binding, make()) == DONE
    assert not seen


async def test_what_does_not_fit_is_looked_at_once() -> None:
    looks: list[int] = []

    def refuse(number: int) -> int:
        looks.append(number)
        raise ValueError("no")

    async def answer(number: Annotated[int, AfterValidator(refuse)]) -> int:
        raise AssertionError

    settlement = await worked_on(answering(answer), delivery(1))
    assert settlement is not None
    assert settlement[:2] == ("fail", Code.INVALID_MESSAGE)
    assert looks == [1]


async def test_a_validator_of_the_messages_own_that_fails(log: pytest.LogCaptureFixture) -> None:
    async def answer(message: Fragile) -> int:
        raise AssertionError

    settlement = await worked_on(answering(answer), delivery({"number": 1}))
    assert settlement is not None
    assert settlement[:2] == ("fail", Code.INVALID_MESSAGE)
    (record,) = log.records
    assert record.exc_info is not None
    assert record.exc_info[0] is KeyError


async def test_cancellation_goes_through_and_ends_the_context() -> None:
    started = anyio.Event()

    async def hang(number: int) -> int:
        started.set()
        await anyio.sleep_forever()
        return number

    work = delivery(1)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answering(hang).work, work)
            await started.wait()
            tasks.cancel_scope.cancel()
    assert work.settlement is None, "whoever cancelled it settles it"


async def test_what_fails_beside_a_cancellation_is_told_and_the_cancellation_goes_on(
    log: pytest.LogCaptureFixture,
) -> None:
    cancelled = anyio.get_cancelled_exc_class()
    started = anyio.Event()

    async def hang(number: int) -> int:
        started.set()
        try:
            await anyio.sleep_forever()
        except cancelled as stopped:
            # As a nursery of trio's raises it.
            raise BaseExceptionGroup("a task group", [stopped, KeyError("lost")]) from None
        return number

    work = delivery(1)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_serve_cancelled, answering(hang), work)
            await started.wait()
            tasks.cancel_scope.cancel()
    assert work.settlement is not None
    assert [record.exc_info[0] for record in log.records if record.exc_info] == [ExceptionGroup]


async def _serve_cancelled(binding: Binding, work: FakeDelivery) -> None:
    with pytest.raises(BaseExceptionGroup) as raised:
        await binding.work(work)
    (only_one,) = raised.value.exceptions
    assert isinstance(only_one, anyio.get_cancelled_exc_class())
    raise only_one


async def test_a_sync_handler_runs_in_a_thread_and_knows_its_message() -> None:
    seen: list[tuple[bool, Context | None]] = []

    def handle(number: int, ctx: Context) -> int:
        seen.append((threading.current_thread() is here, get_context()))
        assert get_context() is ctx
        return number

    here = threading.current_thread()
    assert await worked_on(answering(handle), delivery(3)) == ("reply", MSGPACK.content_type, b"\x03")
    ((in_loop, context),) = seen
    assert not in_loop
    assert context is not None
    assert context.message_id == "m-1"


async def test_a_sync_handler_has_no_more_threads_than_its_concurrency() -> None:
    group, entered, release = HandlerGroup(), threading.Semaphore(0), threading.Event()
    running = 0

    @group.command_handler("t", concurrency=2)
    def handle(number: int) -> None:
        nonlocal running
        running += 1
        entered.release()
        assert release.wait(5)

    binding, works = only(group), [delivery(number) for number in range(4)]
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for work in works:
                tasks.start_soon(binding.work, work)
            for _ in range(2):
                assert await anyio.to_thread.run_sync(entered.acquire, True, 5)
            await anyio.wait_all_tasks_blocked()
            assert running == 2
            release.set()
    assert [work.settlement for work in works] == [DONE] * 4


class TestSeveralHandlers:
    async def test_each_runs_in_turn_though_others_fail(self) -> None:
        group, ran = HandlerGroup(), list[str]()

        @group.event_handler("t", group="g")
        async def fails(number: int) -> None:
            ran.append("fails")
            raise ValueError

        @group.event_handler("t", group="g")
        async def cannot_read(number: str) -> None:
            ran.append("cannot read")

        @group.event_handler("t", group="g")
        def works(number: int) -> None:
            ran.append("works")

        assert await worked_on(only(group), delivery(1)) == DONE
        assert ran == ["fails", "works"]

    def test_those_of_one_pattern_and_group_share_a_subscription(self) -> None:
        group = HandlerGroup()

        def handle(number: int) -> None: ...

        def again(number: int) -> None: ...

        for topic, name, function, concurrency in (
            ("t", "g", handle, 1),
            ("t", None, handle, 1),
            ("t", None, again, 1),
            ("t", "h", handle, 100),
            ("t", "g", again, 3),
            ("t.*", "g", handle, 1),
        ):
            group.event_handler(topic, group=name, concurrency=concurrency)(function)
        bindings = bind(group.handlers, MSGPACK)
        assert [(each.spec.pattern, each.spec.group, each.concurrency) for each in bindings] == [
            ("t", "g", 3),
            ("t", "", 1),
            ("t", "", 1),
            ("t", "h", 100),
            ("t.*", "g", 1),
        ]
        assert [each.spec.credit_messages for each in bindings] == [
            LEAST_PREFETCH,
            EVENT_PREFETCH,
            EVENT_PREFETCH,
            100,
            LEAST_PREFETCH,
        ]


def test_those_who_share_events_have_as_few_in_hand_as_the_most_modest_allows() -> None:
    group = HandlerGroup()

    def handle(number: int) -> None: ...

    def again(number: int) -> None: ...

    group.event_handler("t", group="g", concurrency=8)(handle)
    group.event_handler("t", group="g", prefetch=2)(again)
    assert only(group).spec.credit_messages == 8


def test_what_is_listened_to() -> None:
    group = HandlerGroup()

    @group.command_handler("c", on_cancel="cancel")
    async def do(number: int) -> None: ...

    @group.query_handler("q")
    async def answer(number: int) -> int:
        return number

    @group.event_handler("e.>")
    async def hear(number: int) -> None: ...

    bindings = bind(group.handlers, MSGPACK)
    assert [each.spec for each in bindings] == [
        SubscriptionSpec(kind="command", pattern="c", credit_messages=64),
        SubscriptionSpec(kind="query", pattern="q", credit_messages=64),
        SubscriptionSpec(kind="event", pattern="e.>", credit_messages=1024),
    ]
    assert [(each.concurrency, each.cancellable) for each in bindings] == [(1, True), (64, True), (1, False)]


async def takes_a_thread(message: threading.Thread) -> int:
    raise AssertionError


async def answers_a_thread(message: int) -> threading.Thread:
    raise AssertionError


@pytest.mark.parametrize("function", [takes_a_thread, answers_a_thread])
def test_a_type_that_cannot_be_carried_is_refused_naming_the_handler(function: Callable[..., object]) -> None:
    with pytest.raises(InvalidMessageError, match=r"a_thread \(.*test_dispatch\.py:\d+\): Thread") as caught:
        answering(function)
    assert caught.value.topic == "q"


class TestWhoIsToldOfAFailure:
    @pytest.mark.parametrize("kind", ["command", "query", "event"])
    async def test_of_what_a_handler_raises(self, kind: str) -> None:
        told: list[tuple[Handler, Exception, str]] = []
        group = HandlerGroup()
        error = ValueError("no")

        async def handle(message: int) -> int:
            raise error

        getattr(group, f"{kind}_handler")("t")(handle)
        (binding,) = bind(group.handlers, MSGPACK, lambda *failure: told.append(failure))
        await worked_on(binding, delivery(1))
        assert told == [(group.handlers[0], error, "m-1")]

    async def test_of_what_cannot_be_read(self) -> None:
        told: list[tuple[Handler, Exception, str]] = []
        group = HandlerGroup()

        @group.event_handler("t")
        async def handle(message: int) -> None: ...

        (binding,) = bind(group.handlers, MSGPACK, lambda *failure: told.append(failure))
        await worked_on(binding, delivery("no number"))
        await worked_on(binding, FakeDelivery(1))
        assert [(type(error), message_id) for _, error, message_id in told] == [
            (InvalidMessageError, "m-1"),
            (InvalidMessageError, ""),
        ]


def out_of_time() -> DeadlineExceededError:
    return DeadlineExceededError("a call of its own")


@pytest.mark.parametrize(("seconds", "failures"), [(0.0, 0), (60.0, 1), (None, 1)])
@pytest.mark.parametrize(
    "error", [out_of_time(), ExceptionGroup("side by side", [out_of_time(), ExceptionGroup("", [out_of_time()])])]
)
async def test_that_the_message_ran_out_of_time_is_no_failure_of_its_handler(
    seconds: float | None, failures: int, error: Exception, log: pytest.LogCaptureFixture
) -> None:
    seen: list[Exception] = []
    group = HandlerGroup()

    @group.query_handler("q")
    async def answer(message: object) -> None:
        raise error

    (binding,) = bind(group.handlers, MSGPACK, lambda _, error, __: seen.append(error))
    deadline = None if seconds is None else anyio.current_time() + seconds
    await binding.work(delivery(deadline=deadline))
    assert len(seen) == failures
    assert [record.levelno == logging.ERROR for record in log.records] == [bool(failures)]


@pytest.mark.parametrize("awaited", [True, False])
async def test_a_declared_error_is_an_answer_where_somebody_waits(awaited: bool, log: pytest.LogCaptureFixture) -> None:
    group = HandlerGroup()

    @group.command_handler("c", raises=(LookupError,))
    async def handle(message: object) -> None:
        raise LookupError

    await only(group).work(delivery(wants_answer=awaited))
    assert [record.levelno for record in log.records] == [logging.INFO if awaited else logging.ERROR]
