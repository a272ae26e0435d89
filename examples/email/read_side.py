"""The read side: follows the EmailStored events with an index of its own, and answers EmailQuery from it.

- It asks the write side with EmailList for what it does not have: when it starts, and whenever the position of an
  event shows that the one before went missing. So it may start late, stop and come back.
- Without a write side it answers from what it has.
- Each instance has its own index and takes every event; a question goes to one of them.
"""

import argparse
import logging
from pathlib import Path

import anyio
from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from cqrsbus import Bus, NoHandlerError
from examples.email.messages import (
    EmailIndexed,
    EmailList,
    EmailQuery,
    EmailQueryResponse,
    EmailStored,
    StoredEmail,
)
from examples.email.search_index import SearchIndex

log = logging.getLogger(__name__)


class ReadSide:
    """The service "search" on top of an index.

    Args:
        index: Where mails are found.
        url: The broker; default: as for every Bus.
    """

    def __init__(self, index: SearchIndex, url: str | None = None) -> None:
        self.bus = Bus("search", url)
        self._index = index
        self._one_at_a_time = CapacityLimiter(1)
        self._following = anyio.Lock()
        self.bus.event_handler()(self.follow)
        self.bus.query_handler()(self.answer)

    async def follow(self, event: EmailStored) -> None:
        """Add a mail, and before it those whose events went missing."""
        async with self._following:
            position = await self._position()
            if event.stored.position > position + 1:
                log.info("after position %d comes %d: asking for the rest", position, event.stored.position)
                await self._fetch(position)
            elif event.stored.position == position + 1:
                await self._add([event.stored])

    async def answer(self, query: EmailQuery) -> EmailQueryResponse:
        """Find mails."""
        return await run_sync(self._index.search, query.text, query.limit, limiter=self._one_at_a_time)

    async def catch_up(self) -> None:
        """Add everything that was stored while this service was not there."""
        async with self._following:
            try:
                await self._fetch(await self._position())
            except NoHandlerError:
                log.info("there is no write side yet: its first event will show what is missing")

    async def _fetch(self, position: int) -> None:
        while page := await self.bus.ask(EmailList(after=position)):
            await self._add(page)
            position = page[-1].position

    async def _add(self, mails: list[StoredEmail]) -> None:
        await run_sync(self._index.add, mails, limiter=self._one_at_a_time)
        await self.bus.publish(EmailIndexed(position=mails[-1].position))

    async def _position(self) -> int:
        return await run_sync(self._index.position, limiter=self._one_at_a_time)


async def serve(database: Path) -> None:
    """Catch up, then serve until told to stop."""
    with SearchIndex(database) as index:
        read_side = ReadSide(index)
        async with read_side.bus:
            await read_side.catch_up()
            print("search: ready", flush=True)
            await read_side.bus.run()


def main() -> None:
    """Run the read side as a process of its own."""
    parser = argparse.ArgumentParser(description="The read side: finds mails by what they contain.")
    parser.add_argument("--database", type=Path, default=Path("search.db"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    anyio.run(serve, arguments.database)


if __name__ == "__main__":
    main()
