"""The context: what it tells, that it cannot be changed, and how it reaches nested code."""

import threading

import anyio
import anyio.to_thread
import pytest

from cqrsbus.bus.context import Context, current_context, get_context


def make(**changed: object) -> Context:
    values: dict[str, object] = {"message_id": "m-1", "topic": "email.new", "sender": "mailer", **changed}
    return Context(**values)  # type: ignore[arg-type]


def test_tells_what_was_delivered() -> None:
    ctx = make(correlation_id="c-1", causation_id="m-0", headers={"tenant": "a"}, attempt=3, deadline=7.5)
    assert (ctx.message_id, ctx.topic, ctx.sender) == ("m-1", "email.new", "mailer")
    assert (ctx.correlation_id, ctx.causation_id) == ("c-1", "m-0")
    assert (dict(ctx.headers), ctx.attempt, ctx.deadline) == ({"tenant": "a"}, 3, 7.5)


def test_a_message_without_correlation_starts_a_chain_of_its_own() -> None:
    ctx = make()
    assert (ctx.correlation_id, ctx.causation_id) == ("m-1", None)
    assert (ctx.attempt, dict(ctx.headers), ctx.deadline) == (1, {}, None)


@pytest.mark.parametrize(
    "name",
    ["message_id", "topic", "sender", "correlation_id", "causation_id", "headers", "attempt", "deadline", "extra"],
)
def test_cannot_be_changed(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(make(), name, "other")


def test_headers_cannot_be_written() -> None:
    headers = make(headers={"tenant": "a"}).headers
    with pytest.raises(TypeError):
        headers["tenant"] = "b"  # type: ignore[index]


def test_repr_leaves_the_headers_out() -> None:
    ctx = make(headers={"authorization": "hunter2"})
    assert repr(ctx) == "Context(topic='email.new', message_id='m-1', sender='mailer', attempt=1)"


@pytest.mark.anyio
async def test_remaining_counts_down_to_the_deadline_and_never_below_zero() -> None:
    now = anyio.current_time()
    left = make(deadline=now + 60).remaining()
    assert left is not None
    assert left == pytest.approx(60, abs=10)
    assert make(deadline=now - 1).remaining() == 0.0
    assert make().remaining() is None


@pytest.mark.anyio
async def test_remaining_is_the_loops_time_in_a_worker_thread_too() -> None:
    ctx = make(deadline=anyio.current_time() + 60)
    with anyio.fail_after(10):
        left = await anyio.to_thread.run_sync(ctx.remaining)
    assert left is not None
    assert left == pytest.approx(60, abs=10)


def test_remaining_in_a_foreign_thread_is_an_error() -> None:
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            make(deadline=1.0).remaining()
        except anyio.NoEventLoopError as error:
            caught.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(10)
    assert len(caught) == 1


@pytest.mark.anyio
async def test_nested_code_finds_the_context_and_the_caller_does_not() -> None:
    seen: list[Context | None] = []
    ctx = make()

    async def child() -> None:
        seen.append(get_context())

    async def handler() -> None:
        current_context.set(ctx)
        async with anyio.create_task_group() as children:
            children.start_soon(child)
        seen.append(await anyio.to_thread.run_sync(get_context))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(handler)
    assert seen == [ctx, ctx]
    assert get_context() is None


def test_the_current_context() -> None:
    with pytest.raises(RuntimeError, match=r"no message is being handled here: .* get_context\(\)"):
        Context.current()
    ctx = make()
    token = current_context.set(ctx)
    try:
        assert Context.current() is ctx
    finally:
        current_context.reset(token)


@pytest.mark.anyio
async def test_a_shielded_block_that_takes_too_long_is_an_error() -> None:
    with pytest.raises(TimeoutError), make().shielded(0.01):
        await anyio.sleep_forever()
