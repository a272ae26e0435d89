"""A peer that takes no more than it is told to."""

from collections.abc import Sequence

import anyio

from cqrsbus.transports import Sendable

NO_LIMIT = 1 << 30


class NarrowStream:
    """A peer that takes as many bytes as it is told to; what it took is kept write by write."""

    peer = "test:narrow"

    def __init__(self, room: int = NO_LIMIT) -> None:
        self.room = room
        self.taken: list[bytes] = []
        #: The sizes of the buffers that were handed over together.
        self.together: list[list[int]] = []
        self.broken = False
        self.waiting = anyio.Event()
        self._widened = anyio.Event()

    @property
    def content(self) -> bytes:
        return b"".join(self.taken)

    def widen(self, room: int = NO_LIMIT) -> None:
        self.room = room
        self._widened.set()

    def send_nowait(self, data: Sendable) -> int:
        if self.broken:
            raise anyio.BrokenResourceError
        size = min(len(data), self.room)
        self.room -= size
        self.taken.append(bytes(data[:size]))
        return size

    def send_many_nowait(self, buffers: Sequence[Sendable]) -> int:
        self.together.append([len(data) for data in buffers])
        return self.send_nowait(b"".join(buffers))

    async def send(self, data: Sendable) -> None:
        while data := data[self.send_nowait(data) :]:
            self.waiting.set()
            await self._widened.wait()

    def receive_nowait(self, max_bytes: int = 0) -> bytes:
        raise NotImplementedError

    async def receive(self, max_bytes: int = 0) -> bytes:
        raise NotImplementedError

    def send_eof(self) -> None:
        raise NotImplementedError

    def close(self) -> None: ...

    async def aclose(self) -> None:
        raise NotImplementedError
