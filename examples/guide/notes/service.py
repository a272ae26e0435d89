import anyio

from cqrsbus import Bus

from .messages import AddNote, FindNotes, NoteAdded

bus = Bus("notes")
notes: list[str] = []


@bus.command_handler()
async def add(command: AddNote) -> None:
    if not command.text:
        raise ValueError("a note needs a text")
    notes.append(command.text)
    await bus.publish(NoteAdded(number=len(notes), text=command.text))


@bus.query_handler()
async def find(query: FindNotes) -> list[str]:
    return [note for note in notes if query.word in note]


async def main() -> None:
    async with bus:
        print("notes: ready", flush=True)
        await bus.run()


if __name__ == "__main__":
    anyio.run(main)
