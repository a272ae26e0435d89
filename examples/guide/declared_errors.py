import anyio

from cqrsbus import Bus, Command, Query, RemoteError

URL = "memory:mail"


class MailboxLocked(Exception):
    def __init__(self, folder: str, *, by: str, seconds: float = 60) -> None:
        super().__init__(f"{folder} is locked by {by}")
        self.folder = folder
        self.by = by
        self.seconds = seconds


class QuotaExceeded(Exception):
    pass


class Open(Query[int], topic="mail.open", raises=(MailboxLocked,)):
    folder: str


class Store(Command, topic="mail.store", raises=(MailboxLocked,)):
    text: str


mailer = Bus("mailer", URL)


@mailer.query_handler()
async def open_folder(query: Open) -> int:
    if query.folder == "secret":
        raise LookupError("no such folder")
    raise MailboxLocked(query.folder, by="the archiver", seconds=2.5)


@mailer.command_handler(raises=(QuotaExceeded,))
async def store(command: Store) -> None:
    raise QuotaExceeded("inbox", 1024)


async def main() -> None:
    async with mailer, Bus("desk", URL) as desk:
        try:
            await desk.ask(Open(folder="inbox"))
        except MailboxLocked as error:
            print(error)
            print("try again in", error.seconds, "seconds")

        try:
            inbox = {"folder": "inbox"}
            await desk.ask("mail.open", inbox, raises=(MailboxLocked,))
        except MailboxLocked as error:
            if isinstance(error.__cause__, RemoteError):
                print("it comes from", error.__cause__.service)

        try:
            hi = Store(text="hi")
            await desk.send(hi, wait=True, raises=(QuotaExceeded,))
        except QuotaExceeded as error:
            print("over quota:", error.args)

        try:
            await desk.ask(Open(folder="secret"))
        except RemoteError as error:
            print(error)
            print(error.type, "in", error.service)


if __name__ == "__main__":
    anyio.run(main)
