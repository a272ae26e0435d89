"""Children of a handler, over every kind of link: they end before the answer, and with it."""

import anyio
import pytest

from cqrsbus import Bus, BusError, Context, DeadlineExceededError, RemoteError

pytestmark = pytest.mark.anyio

TRACE = {
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "a=1",
    "baggage": "k=v",
}


async def test_the_caller_waits_for_the_children_and_gets_their_error(url: str) -> None:
    bus, ended = Bus("shop", url), list[str]()

    async def child(name: str, fails: bool) -> None:
        await anyio.lowlevel.checkpoint()
        ended.append(name)
        if fails:
            raise LookupError(f"no {name}")

    @bus.command_handler("c")
    async def handle(fails: bool, ctx: Context) -> None:
        ctx.start_soon(child, "milk", fails)

    with anyio.fail_after(20):
        async with bus:
            await bus.send("c", False, wait=True)
            assert ended == ["milk"]
            with pytest.raises(RemoteError, match="LookupError: no milk"):
                await bus.send("c", True, wait=True)
            await bus.send("c", False, wait=True)
    assert ended == ["milk"] * 3


async def test_a_caller_that_leaves_stops_the_children(url: str) -> None:
    bus, started, stopped = Bus("shop", url), anyio.Event(), anyio.Event()

    async def child() -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()

    @bus.query_handler("q")
    async def answer(_: None, ctx: Context) -> int:
        ctx.start_soon(child)
        return 1

    with anyio.fail_after(20):
        async with Bus("caller", url) as caller, bus, anyio.create_task_group() as tasks:
            tasks.start_soon(caller.ask, "q")
            await started.wait()
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await stopped.wait()


async def test_what_children_send_continues_the_chain_its_trace_and_its_deadline(url: str) -> None:
    bus, seen, contexts = Bus("shop", url), anyio.Event(), list[Context]()

    async def child() -> None:
        await bus.send("second", None, timeout=None)

    @bus.command_handler("first")
    async def first(_: None, ctx: Context) -> None:
        contexts.append(ctx)
        ctx.start_soon(child)

    @bus.command_handler("second")
    async def second(_: None, ctx: Context) -> None:
        contexts.append(ctx)
        seen.set()

    @bus.query_handler("q")
    async def answer(_: None, ctx: Context) -> int:
        ctx.start_soon(never_answered)
        return 1

    async def never_answered() -> None:
        await bus.ask("slow", None, timeout=None)

    @bus.query_handler("slow")
    async def slow(_: None) -> int:
        await anyio.sleep_forever()
        return 1

    with anyio.fail_after(20):
        async with bus:
            await bus.send("first", None, headers={**TRACE, "tenant": "a"})
            await seen.wait()
            with pytest.raises(DeadlineExceededError):
                await bus.ask("q", timeout=0.2)
    one, two = contexts
    assert (two.correlation_id, two.causation_id) == (one.correlation_id, one.message_id)
    assert dict(two.headers) == TRACE


async def test_leaving_the_bus_waits_for_children_as_for_handlers(url: str) -> None:
    bus, started, release, ended = Bus("shop", url), anyio.Event(), anyio.Event(), list[str]()

    async def child() -> None:
        started.set()
        await release.wait()
        ended.append("child")

    @bus.event_handler("e")
    async def handle(_: None, ctx: Context) -> None:
        ctx.start_soon(child)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            async with bus:
                await bus.publish("e", None)
                await started.wait()
                tasks.start_soon(_set_when_blocked, release)
            assert ended == ["child"]


async def test_children_that_outlast_the_drain_are_cancelled(url: str) -> None:
    bus, started, ended = Bus("shop", url, drain_timeout=0.05), anyio.Event(), list[str]()

    async def child() -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("cancelled")

    @bus.event_handler("e")
    async def handle(_: None, ctx: Context) -> None:
        ctx.start_soon(child)

    with anyio.fail_after(20):
        async with bus:
            await bus.publish("e", None)
            await started.wait()
    assert ended == ["cancelled"]


async def _set_when_blocked(event: anyio.Event) -> None:
    await anyio.wait_all_tasks_blocked()
    event.set()


class Untidy:
    """A service whose tasks fail when they are cancelled, in a handler's task group, or in that of a child."""

    def __init__(self, url: str) -> None:
        self.bus = Bus("untidy", url, drain_timeout=0.0)
        self.started = anyio.Event()
        self.bus.query_handler("group")(self.group)
        self.bus.query_handler("child")(self.child)
        self.bus.query_handler("well")(self.well)

    async def group(self, _: None) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.fail_late)
            tasks.start_soon(anyio.sleep_forever)

    async def child(self, _: None, ctx: Context) -> None:
        ctx.start_soon(self.group, None)

    async def well(self, _: None) -> bool:
        return True

    async def fail_late(self) -> None:
        self.started.set()
        try:
            await anyio.sleep_forever()
        finally:
            raise LookupError("lost")


@pytest.mark.parametrize("topic", ["group", "child"])
async def test_tasks_that_fail_when_the_caller_leaves_are_no_harm_to_the_service(url: str, topic: str) -> None:
    service = Untidy(url)
    with anyio.fail_after(20):
        async with Bus("caller", url) as caller, service.bus:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(caller.ask, topic)
                await service.started.wait()
                tasks.cancel_scope.cancel()
            assert await caller.ask("well", returns=bool)


@pytest.mark.parametrize("topic", ["group", "child"])
async def test_tasks_that_fail_when_the_bus_is_left_are_no_harm_to_it(url: str, topic: str) -> None:
    service = Untidy(url)

    async def ask(caller: Bus) -> None:
        with pytest.raises(BusError):
            await caller.ask(topic)

    with anyio.fail_after(20):
        async with Bus("caller", url) as caller, anyio.create_task_group() as tasks, service.bus:
            tasks.start_soon(ask, caller)
            await service.started.wait()
