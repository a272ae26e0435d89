import anyio

from cqrsbus import Bus, Command, Event, Query


class AddNote(Command, topic="note.add"):
    text: str


class CountNotes(Query[int], topic="note.count"):
    pass


class NoteAdded(Event, topic="note.added"):
    text: str


bus = Bus("notes", "memory:")
notes: list[str] = []


@bus.command_handler()
async def add(command: AddNote) -> None:
    notes.append(command.text)
    await bus.publish(NoteAdded(text=command.text))


@bus.query_handler()
async def count(query: CountNotes) -> int:
    return len(notes)


async def main() -> None:
    async with bus, bus.subscribe("note.added", NoteAdded) as added:
        await bus.send(AddNote(text="buy milk"))
        event = await anext(added)
        print("added:", event.text)
        print("notes:", await bus.ask(CountNotes()))


if __name__ == "__main__":
    anyio.run(main)
