from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

import anyio

from cqrsbus import Bus, Command, Context, Depends, RemoteError

bus = Bus("mail", "memory:")


class StoreMail(Command, topic="mail.store"):
    owner: str
    text: str


@dataclass
class Session:
    """Stands for one of your database."""

    name: str

    async def add(self, text: str) -> None:
        print(f"  {self.name}: add {text!r}")


async def open_session() -> AsyncIterator[Session]:
    print("  begin")
    try:
        yield Session("database")
    except Exception:
        print("  roll back")
        raise
    print("  commit")


async def caller(ctx: Context) -> str:
    return ctx.sender


@dataclass
class Mailbox:
    owner: str
    session: Session

    async def store(self, text: str) -> None:
        if not text:
            raise ValueError("an empty mail")
        await self.session.add(text)


async def open_mailbox(
    command: StoreMail,
    session: Annotated[Session, Depends(open_session)],
) -> Mailbox:
    return Mailbox(command.owner, session)


@bus.command_handler()
async def store(
    command: StoreMail,
    mailbox: Annotated[Mailbox, Depends(open_mailbox)],
    session: Annotated[Session, Depends(open_session)],
    caller: Annotated[str, Depends(caller)],
) -> None:
    assert session is mailbox.session  # one message, one session
    await mailbox.store(command.text)
    await session.add(f"{caller} wrote to {mailbox.owner}")


async def main() -> None:
    async with bus:
        print("stored:")
        await bus.send(StoreMail(owner="ann", text="hello"), wait=True)
        print("refused:")
        try:
            await bus.send(StoreMail(owner="ann", text=""), wait=True)
        except RemoteError as error:
            print(f"  {error.type}")

        async def fake_session() -> Session:
            return Session("fake")

        print("in a test:")
        with bus.override_dependency(open_session, fake_session):
            await bus.send(StoreMail(owner="ann", text="hello"), wait=True)


if __name__ == "__main__":
    anyio.run(main)
