"""A caller that leaves, seen from middleware and dependencies: what was made is cleaned up, wherever it happened."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Annotated, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cqrsbus import Call, Context, Depends, HandlerGroup, Handling, NextCall, NextHandling
from cqrsbus.links.backoff import FullJitter
from tests.integration.sweep.audit import Audit
from tests.integration.sweep.points import Call as Cancelled
from tests.integration.sweep.points import Means, Moment, cancel_everywhere, until
from tests.integration.sweep.world import World, running_world

pytestmark = pytest.mark.anyio

_names = count(1)


class Needs:
    """Handlers that need things, with middleware around; counts what was made, and what was cleaned up."""

    def __init__(self) -> None:
        self.made = 0
        self.cleaned_up = 0
        self.inside = 0

    def declare(self, world: World) -> None:
        """Declare the handlers."""
        group = HandlerGroup()

        async def asynchronous() -> AsyncIterator[int]:
            await checkpoint()
            self.made += 1
            try:
                yield self.made
                await checkpoint()
            finally:
                with anyio.CancelScope(shield=True):
                    await checkpoint()
                self.cleaned_up += 1

        def in_a_thread(number: Annotated[int, Depends(asynchronous)]) -> Iterator[int]:
            self.made += 1
            try:
                yield number
            finally:
                self.cleaned_up += 1

        async def child() -> None:
            await checkpoint()

        @group.handling_middleware
        async def around(handling: Handling, call_next: NextHandling) -> Any:
            self.inside += 1
            try:
                handling.context.start_soon(child)
                return await call_next(handling)
            finally:
                self.inside -= 1

        @world.caller.call_middleware
        async def pass_on(call: Call, call_next: NextCall) -> Any:
            await checkpoint()
            answer = await call_next(call)
            # Of a stream this is the opening: what has been opened is not the caller's yet.
            await checkpoint()
            return answer

        @group.query_handler("one")
        async def one(number: int, ctx: Context, one: Annotated[int, Depends(asynchronous)]) -> int:
            ctx.start_soon(child)
            await checkpoint()
            return number

        @group.query_handler("two")
        async def two(number: int, two: Annotated[int, Depends(in_a_thread)]) -> int:
            await checkpoint()
            return number

        @group.query_handler("stream")
        async def stream(number: int, one: Annotated[int, Depends(asynchronous)]) -> AsyncIterator[int]:
            yield number
            await checkpoint()
            yield number

        world.service.include(group, prefix="needs")

    async def all_is_cleaned_up(self, audit: Audit) -> None:
        """Nothing is left, here or anywhere."""
        await until(lambda: not self.inside, "the middleware has ended")
        await audit.nothing_is_left()
        assert self.made == self.cleaned_up


async def _ask(topic: str, world: World, number: int) -> None:
    assert await world.caller.ask(topic, number) == number


async def _stream(world: World, number: int) -> None:
    async with world.caller.stream("needs.stream", number) as items:
        assert [item async for item in items] == [number, number]


CALLS: dict[str, Callable[[World, int], Coroutine[Any, Any, None]]] = {
    "a generator": partial(_ask, "needs.one"),
    "a generator in a thread": partial(_ask, "needs.two"),
    "a stream": _stream,
}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back without a pause after a loss."""
    monkeypatch.setattr(FullJitter, "next_pause", lambda _: 0.0)


@pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.value)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
async def test_a_caller_that_leaves_at_any_point_leaves_nothing(
    call: Callable[[World, int], Coroutine[Any, Any, None]], moment: Moment
) -> None:
    needs = Needs()
    with anyio.fail_after(60):
        async with running_world(f"memory:needs-{next(_names)}", needs.declare) as world:
            audit = Audit(world)
            await needs.all_is_cleaned_up(audit)

            @asynccontextmanager
            async def prepare() -> AsyncGenerator[Cancelled]:
                yield partial(call, world, next(world.numbers))

            points = await cancel_everywhere(Means.SCOPE, moment, prepare, partial(needs.all_is_cleaned_up, audit))
    assert points >= 2
    assert needs.made > points // 4
