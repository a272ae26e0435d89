import anyio

from cqrsbus import Bus, Command, Query, TopologyError, check_buses


class Store(Command, topic="mail.store"):
    subject: str


class Count(Query[int], topic="mail.count"):
    word: str


mail = Bus("mail", "memory:check", version="2.0")
web = Bus("web", "memory:check", requires=[Store, Count])


@mail.command_handler("mail.store")
async def store(command: dict[str, int]) -> None: ...


async def main() -> None:
    for finding in check_buses(mail, web):
        print(f"{finding.problem}, {finding.topic}: {finding.reason}")
    async with mail:
        try:
            async with web:
                print("never reached")
        except TopologyError as error:
            print("web does not start:", type(error).__name__)


if __name__ == "__main__":
    anyio.run(main)
