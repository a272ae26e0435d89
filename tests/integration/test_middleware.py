"""Middleware and dependencies across a broker, over every kind of URL."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any

import anyio
import pytest

from cqrsbus import Bus, Call, Context, Depends, Handling, NextCall, NextHandling, PermissionDeniedError, RemoteError

pytestmark = pytest.mark.anyio


class Service:
    """Answers as the tenant that asks; counts the sessions that are open."""

    def __init__(self, url: str) -> None:
        self.bus = Bus("service", url)
        self.open = 0
        self.waits = anyio.Event()
        self.all_closed = anyio.Event()

        async def session(ctx: Context) -> AsyncIterator[str]:
            self.open += 1
            try:
                yield ctx.headers["tenant"]
            finally:
                self.open -= 1
                if not self.open:
                    self.all_closed.set()

        @self.bus.handling_middleware
        async def check_tenant(handling: Handling, call_next: NextHandling) -> Any:
            if "tenant" not in handling.context.headers:
                raise PermissionError("who are you?")
            return await call_next(handling)

        @self.bus.query_handler("say")
        async def say(word: str, tenant: Annotated[str, Depends(session)]) -> str:
            return f"{tenant} says {word}"

        @self.bus.query_handler("spell")
        async def spell(word: str, tenant: Annotated[str, Depends(session)]) -> AsyncIterator[str]:
            yield tenant
            for letter in word:
                yield letter

        @self.bus.query_handler("wait")
        async def wait(word: str, tenant: Annotated[str, Depends(session)]) -> None:
            self.waits.set()
            await anyio.sleep_forever()


@pytest.fixture
def service(url: str) -> Service:
    return Service(url)


@pytest.fixture
def client(url: str) -> Bus:
    bus = Bus("client", url)

    @bus.call_middleware
    async def sign(call: Call, call_next: NextCall) -> Any:
        if call.message == "nobody":
            return await call_next(call)
        if call.message == "forbidden":
            raise PermissionDeniedError("not this", topic=call.topic)
        call.headers["tenant"] = call.verb
        return await call_next(call)

    return bus


async def test_every_verb_goes_through_both_sides(service: Service, client: Bus) -> None:
    with anyio.fail_after(10):
        async with service.bus, client:
            assert await client.ask("say", "hello", returns=str) == "ask says hello"
            async with client.stream("spell", "ab", returns=str) as letters:
                assert [letter async for letter in letters] == ["stream", "a", "b"]
            async with client.gather("say", "hello", returns=str, quorum=1) as answers:
                assert [answer async for answer in answers] == ["gather says hello"]
    assert service.open == 0


async def test_a_refusal_of_either_side(service: Service, client: Bus) -> None:
    with anyio.fail_after(10):
        async with service.bus, client:
            with pytest.raises(PermissionDeniedError):
                await client.ask("say", "forbidden", returns=str)
            with pytest.raises(PermissionDeniedError):
                await client.stream("spell", "forbidden", returns=str).__aenter__()
            with pytest.raises(RemoteError, match="who are you"):
                await client.ask("say", "nobody", returns=str)
            async with client.stream("spell", "nobody", returns=str) as letters:
                with pytest.raises(RemoteError, match="who are you"):
                    await anext(aiter(letters))


async def test_a_stream_may_be_opened_elsewhere(service: Service, url: str) -> None:
    bus = Bus("other", url)

    @bus.call_middleware
    async def elsewhere(call: Call, call_next: NextCall) -> Any:
        return await call_next(replace(call, topic="spell", message="xy", headers={"tenant": "t"}))

    with anyio.fail_after(10):
        async with service.bus, bus, bus.stream("nowhere", "ab", returns=str) as letters:
            assert [letter async for letter in letters] == ["t", "x", "y"]


async def test_a_caller_that_leaves_closes_what_its_handler_needed(service: Service, client: Bus) -> None:
    async def ask() -> None:
        await client.ask("wait", "x", returns=None)

    with anyio.fail_after(10):
        async with service.bus, client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await service.waits.wait()
                tasks.cancel_scope.cancel()
            async with client.stream("spell", "x" * 1000, returns=str, credit=2) as letters:
                assert await anext(aiter(letters)) == "stream"
            while service.open:
                service.all_closed = anyio.Event()
                await service.all_closed.wait()
    assert service.open == 0
