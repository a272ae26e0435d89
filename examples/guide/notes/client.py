import anyio

from cqrsbus import Bus

from .messages import AddNote, FindNotes

bus = Bus("notes-client")


async def main() -> None:
    async with bus:
        await bus.send(AddNote(text="buy milk"), wait=True)
        await bus.send(AddNote(text="sell cow"), wait=True)
        print(await bus.ask(FindNotes(word="milk")))


if __name__ == "__main__":
    anyio.run(main)
