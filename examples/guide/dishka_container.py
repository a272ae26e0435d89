from collections.abc import AsyncIterator

import anyio
from dishka import Provider, Scope, make_async_container

from cqrsbus import Bus, Command, Context
from cqrsbus.integrations.dishka import BusProvider, FromDishka, setup_dishka

bus = Bus("mail", "memory:")


class StoreMail(Command, topic="mail.store"):
    text: str


class Pool:
    """One for the application."""


class Session:
    """One for each message."""

    def __init__(self, pool: Pool, topic: str) -> None:
        self.topic = topic


async def open_pool() -> AsyncIterator[Pool]:
    print("open the pool")
    yield Pool()
    print("close the pool")


async def open_session(pool: Pool, ctx: Context) -> AsyncIterator[Session]:
    print("  open a session")
    yield Session(pool, ctx.topic)
    print("  close the session")


@bus.command_handler()
async def store(command: StoreMail, session: FromDishka[Session]) -> None:
    print(f"  {session.topic}: {command.text}")


async def main() -> None:
    storage = Provider()
    storage.provide(open_pool, scope=Scope.APP)
    storage.provide(open_session, scope=Scope.REQUEST)
    container = make_async_container(
        storage,
        BusProvider(),
        lock_factory=anyio.Lock,
    )
    setup_dishka(container, bus)
    async with bus:
        for text in ("hello", "again"):
            await bus.send(StoreMail(text=text), wait=True)
    await container.close()


if __name__ == "__main__":
    anyio.run(main)
