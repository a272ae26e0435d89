import anyio

from cqrsbus import Bus, Command, HandlerGroup, Query

# --- mail/handlers.py
mail = HandlerGroup()
sent: list[str] = []


class Send(Command, topic="send"):
    text: str


class Count(Query[int], topic="count"):
    pass


@mail.command_handler()
async def send(command: Send) -> None:
    sent.append(command.text)


@mail.query_handler()
async def count(query: Count) -> int:
    return len(sent)


# --- app.py
bus = Bus("office", "memory:")
bus.include(mail, prefix="mail.")


async def main() -> None:
    async with bus:
        await bus.send("mail.send", Send(text="hello"), wait=True)
        print(await bus.ask("mail.count", Count()))


if __name__ == "__main__":
    anyio.run(main)
