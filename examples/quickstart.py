"""The smallest program: a command, an event and a query, with the broker inside this very process."""

import anyio

from cqrsbus import Bus, Command, Event, Query


class AddTask(Command, topic="task.add"):
    """Please put this on the list: exactly one service does it."""

    title: str


class TaskAdded(Event, topic="task.added"):
    """This was put on the list: whoever is interested hears of it."""

    title: str


class OpenTasks(Query[list[str]], topic="task.open"):
    """What is on the list? The answer is a list of titles."""


bus = Bus("tasks", "memory:")
titles: list[str] = []


@bus.command_handler()
async def add(command: AddTask) -> None:
    titles.append(command.title)
    await bus.publish(TaskAdded(title=command.title))


@bus.event_handler()
async def announce(event: TaskAdded) -> None:
    print(f"added: {event.title}")


@bus.query_handler()
async def open_tasks(query: OpenTasks) -> list[str]:
    return titles


async def main() -> None:
    async with bus:
        await bus.send(AddTask(title="Write the report"), wait=True)
        await bus.send(AddTask(title="Call Ada"), wait=True)
        answer = await bus.ask(OpenTasks())
    print(f"open: {', '.join(answer)}")


if __name__ == "__main__":
    anyio.run(main)
