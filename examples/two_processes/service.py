"""A service that keeps notes. It needs a broker: run ``cqrsbus broker`` in another terminal first."""

import anyio

from cqrsbus import Bus

bus = Bus("notes")
notes: list[str] = []


@bus.command_handler("note.add")
async def add(text: str) -> None:
    notes.append(text)


@bus.query_handler("note.list")
async def list_notes(containing: str) -> list[str]:
    return [note for note in notes if containing in note]


async def main() -> None:
    async with bus:
        print("notes: ready", flush=True)
        await bus.run()


if __name__ == "__main__":
    anyio.run(main)
