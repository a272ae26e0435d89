"""Fakes in the place of dependencies."""

from collections.abc import AsyncIterator
from typing import Annotated

import anyio
import pytest

from cqrsbus import Bus, Depends
from cqrsbus.testing import TestBus

pytestmark = pytest.mark.anyio


async def password() -> str:
    return "real"


async def connect(secret: Annotated[str, Depends(password)]) -> str:
    return f"real database with {secret}"


async def unused() -> str:
    return "nobody's"


def answering(name: str = "a") -> Bus:
    bus = Bus(name)

    @bus.query_handler(f"{name}.where")
    async def where(_: None, database: Annotated[str, Depends(connect)]) -> str:
        return database

    return bus


async def test_a_handler_gets_the_fake_and_afterwards_the_real_one(broker: str) -> None:
    bus = answering()
    with anyio.fail_after(5):
        async with TestBus(bus, broker=broker, overrides={connect: lambda: "fake"}):
            assert await bus.ask("a.where", None, returns=str) == "fake"
        async with TestBus(bus, broker=broker):
            assert await bus.ask("a.where", None, returns=str) == "real database with real"


async def test_so_do_its_dependencies() -> None:
    bus = answering()
    with anyio.fail_after(5):
        async with TestBus(bus, overrides={password: lambda: "fake"}):
            assert await bus.ask("a.where", None, returns=str) == "real database with fake"


async def test_on_every_bus() -> None:
    one, other = answering("one"), answering("other")
    with anyio.fail_after(5):
        async with TestBus(one, other, overrides={connect: lambda: "fake"}):
            assert await one.ask("other.where", None, returns=str) == "fake"
            assert await other.ask("one.where", None, returns=str) == "fake"


async def test_a_fake_may_clean_up(broker: str) -> None:
    bus, log = answering(), list[str]()

    async def fake() -> AsyncIterator[str]:
        yield "fake"
        log.append("closed")

    with anyio.fail_after(5):
        async with TestBus(bus, broker=broker, overrides={connect: fake}) as t:
            assert await bus.ask("a.where", None, returns=str) == "fake"
            await t.idle()
            assert log == ["closed"]


def test_a_fake_for_what_nobody_depends_on_is_refused() -> None:
    with pytest.raises(ValueError, match="overrides has unused, but no handler of these buses depends on it"):
        TestBus(answering(), overrides={unused: lambda: "fake"})


async def test_a_fake_that_cannot_be_called_leaves_the_bus_as_it_was() -> None:
    bus = answering()
    with anyio.fail_after(5):
        with pytest.raises(TypeError):
            await TestBus(bus, overrides={connect: "fake"}).__aenter__()  # type: ignore[dict-item]
        async with TestBus(bus):
            assert await bus.ask("a.where", None, returns=str) == "real database with real"
