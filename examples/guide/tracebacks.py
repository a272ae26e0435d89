import anyio

from cqrsbus import Bus, RemoteError

bus = Bus("mailer", "memory:", send_tracebacks=True)


@bus.query_handler("mail.size")
async def size(folder: str) -> int:
    sizes = {"inbox": 7}
    return sizes[folder]


async def main() -> None:
    async with bus:
        try:
            await bus.ask("mail.size", "outbox")
        except RemoteError as error:
            where = (error.traceback or "").splitlines()
            print([line.strip() for line in where if "sizes" in line])


if __name__ == "__main__":
    anyio.run(main)
