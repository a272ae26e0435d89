"""How much of a stream its caller still wants, and the waiting for it."""

import anyio

from cqrsbus.links.channel import Channel
from cqrsbus.wire.frames import Frame


class StreamCredit:
    """How much of a stream its caller still wants."""

    def __init__(self) -> None:
        #: Whether nothing more is to be said: its delivery is settled.
        self.over = False
        self._items = 0
        self._size = 0
        self._granted = anyio.Event()

    def grant(self, items: int, size: int) -> None:
        """So much more is wanted."""
        self._items += items
        self._size += size
        self._granted.set()

    async def spend(self, size: int) -> None:
        """Wait until one more is wanted; the last one may exceed the bytes."""
        while self._items <= 0 or self._size <= 0:
            self._granted = anyio.Event()
            await self._granted.wait()
        self._items -= 1
        self._size -= size


async def put_when_wanted(reply: Frame, credit: StreamCredit, channel: Channel) -> None:
    """Put an answer of a stream when its caller wants it and there is room, unless the delivery is settled by then."""
    await credit.spend(reply.tail_size)
    if not channel.has_room():
        await channel.wait_room()
    if not credit.over:
        channel.put(reply)
