"""Handlers that have what a dishka container makes: one container for each message, closed in time."""

import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio
import anyio.lowlevel
import pytest
from dishka import AsyncContainer, FromComponent, Provider, Scope, make_async_container, make_container, provide
from pydantic import BaseModel

from cqrsbus import Bus, Command, Context, Depends, HandlerGroup, Query, RemoteError
from cqrsbus.integrations.dishka import BusProvider, FromDishka, setup_dishka

pytestmark = pytest.mark.anyio


class Store(Command, topic="store"):
    word: str = ""


class Find(Query[str], topic="find"):
    word: str = ""


class Settings:
    """Made once for the application."""


class Session:
    """Made once for each message."""

    def __init__(self, topic: str, word: str) -> None:
        self.topic = topic
        self.word = word


class Services(Provider):
    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self.log = log

    @provide(scope=Scope.APP)
    async def settings(self) -> Settings:
        await anyio.lowlevel.checkpoint()
        self.log.append("settings")
        return Settings()

    @provide(scope=Scope.REQUEST)
    async def session(
        self, settings: Settings, context: Context, message: BaseModel
    ) -> AsyncGenerator[Session, object]:
        await anyio.lowlevel.checkpoint()
        self.log.append("open")
        error: object = yield Session(context.topic, str(message.model_dump().get("word")))
        self.log.append(f"close after {type(error).__name__}" if error else "close")


class Words(Provider):
    component = "words"
    scope = Scope.REQUEST

    @provide
    def word(self) -> str:
        return "from a component"


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
async def container(log: list[str]) -> AsyncIterator[AsyncContainer]:
    made = make_async_container(Services(log), Words(), BusProvider(BaseModel), lock_factory=anyio.Lock)
    yield made
    await made.close()


@asynccontextmanager
async def running(bus: Bus) -> AsyncGenerator[Bus]:
    with anyio.fail_after(10):
        async with bus:
            yield bus


@pytest.fixture
def bus(container: AsyncContainer) -> Bus:
    made = Bus("shop", "memory:")
    setup_dishka(container, made)
    return made


async def test_a_message_has_its_own_container_closed_before_it_is_settled(bus: Bus, log: list[str]) -> None:
    sessions: list[Session] = []

    def same(session: FromDishka[Session]) -> Session:
        return session

    @bus.command_handler()
    async def store(
        command: Store,
        session: FromDishka[Session],
        settings: FromDishka[Settings],
        again: Annotated[Session, Depends(same)],
    ) -> None:
        assert again is session
        sessions.append(session)
        log.append(f"handle {session.word} of {session.topic}")

    async with running(bus):
        await bus.send(Store(word="a"), wait=True)
        log.append("settled")
        await bus.send(Store(word="b"), wait=True)
    assert log == [
        *("settings", "open", "handle a of store", "close", "settled"),
        *("open", "handle b of store", "close"),
    ]
    assert sessions[0] is not sessions[1]


async def test_a_sync_handler(bus: Bus, log: list[str]) -> None:
    @bus.command_handler()
    def store(command: Store, session: FromDishka[Session]) -> None:
        log.append(session.word)

    async with running(bus):
        await bus.send(Store(word="a"), wait=True)
    assert log == ["settings", "open", "a", "close"]


async def test_many_messages_at_once_share_what_is_made_once(bus: Bus, log: list[str]) -> None:
    found: set[int] = set()

    @bus.query_handler()
    async def find(query: Find, settings: FromDishka[Settings]) -> str:
        found.add(id(settings))
        return query.word

    async with running(bus), anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(bus.ask, Find(word=str(number)))
    assert len(found) == 1
    assert log == ["settings"]


async def test_a_stream_keeps_its_container_until_its_end(bus: Bus, log: list[str]) -> None:
    @bus.query_handler("words")
    async def words(query: Find, session: FromDishka[Session]) -> AsyncIterator[str]:
        yield session.word
        log.append("between")
        yield session.topic

    async with running(bus), bus.stream("words", Find(word="a")) as items:
        assert [item async for item in items] == ["a", "words"]
    assert log == ["settings", "open", "between", "close"]


async def test_what_a_handler_raises_is_told_to_the_container(bus: Bus, log: list[str]) -> None:
    @bus.command_handler()
    async def store(command: Store, session: FromDishka[Session]) -> None:
        raise ValueError("no room")

    async with running(bus):
        with pytest.raises(RemoteError, match="no room"):
            await bus.send(Store(), wait=True)
    assert log[-1] == "close after ValueError"


async def test_a_component(bus: Bus) -> None:
    @bus.query_handler()
    async def find(query: Find, word: Annotated[str, FromComponent("words")]) -> str:
        return word

    async with running(bus):
        assert await bus.ask(Find()) == "from a component"


async def test_what_no_factory_makes_fails_the_message(bus: Bus) -> None:
    @bus.query_handler()
    async def find(query: Find, number: FromDishka[float]) -> str:
        return str(number)

    async with running(bus):
        with pytest.raises(RemoteError) as raised:
            await bus.ask(Find())
    assert raised.value.type == "NoFactoryError"


async def test_the_handlers_of_a_group_are_those_of_the_bus(bus: Bus, log: list[str]) -> None:
    group = HandlerGroup()

    @group.command_handler("add")
    async def add(command: Store, session: FromDishka[Session]) -> None:
        log.append(session.topic)

    bus.include(group, prefix="word")
    bus.dependency_overrides.clear()
    async with running(bus):
        await bus.send("word.add", Store(), wait=True)
    assert log[2] == "word.add"


async def test_without_a_container() -> None:
    bus = Bus("shop", "memory:")

    @bus.query_handler()
    async def find(query: Find, session: FromDishka[Session]) -> str:
        return ""

    async with running(bus):
        with pytest.raises(RemoteError, match=r"call setup_dishka\(container, bus\) first"):
            await bus.ask(Find())


@pytest.mark.parametrize("container", [None, make_container()])
def test_it_takes_an_asynchronous_container(container: Any) -> None:
    with pytest.raises(TypeError, match="make_async_container"):
        setup_dishka(container, Bus("shop"))


def test_without_dishka_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['dishka'] = None; import cqrsbus; import cqrsbus.integrations.dishka"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "ImportError: cqrsbus.integrations.dishka needs dishka: pip install 'cqrsbus[di]'" in ran.stderr
