import anyio

from cqrsbus import Bus

from .messages import NoteAdded

bus = Bus("notes-watcher")


@bus.event_handler()
async def show(event: NoteAdded) -> None:
    print(f"{event.number}: {event.text}", flush=True)


async def main() -> None:
    async with bus:
        print("watcher: ready", flush=True)
        await bus.run()


if __name__ == "__main__":
    anyio.run(main)
