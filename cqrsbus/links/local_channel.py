"""A channel inside the process: frames go to an exchange as they are, without becoming bytes.

What is put is routed at once; what comes is kept until the link takes it. That is bounded by the same credit,
windows and request limits as over a socket. The exchange is handed in: this module knows only its shape.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import anyio

from cqrsbus.errors import ConnectionLostError
from cqrsbus.links.channel import Terms
from cqrsbus.links.unbuffered_outbox import UnbufferedOutbox
from cqrsbus.wire.frames import Frame, Kind


class Inbox:
    """What the exchange has for this member."""

    def __init__(self) -> None:
        self.ending = False
        self._frames: list[Frame] = []
        self._arrived = anyio.Event()

    def put(self, frame: Frame) -> None:
        """Keep a frame for the link."""
        self._frames.append(frame)
        if frame.kind == Kind.ERROR:
            self.ending = True

    def flush(self) -> None:
        """Wake the link."""
        self._arrived.set()

    def flush_soon(self) -> None:
        """Wake the link, which runs when those have run that are awake."""
        self._arrived.set()

    async def take(self) -> list[Frame]:
        """Wait for frames and take them all."""
        while not self._frames:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        taken, self._frames = self._frames, []
        return taken


class Exchange(Protocol):
    """What routes the frames."""

    def attach(self, member: Inbox, service: str, instance: str) -> int: ...

    def detach(self, number: int) -> None: ...

    def receive(self, number: int, frames: Sequence[Frame]) -> None: ...

    def run(self) -> Awaitable[None]: ...


class LocalChannel:
    """One membership of an exchange in this process.

    Args:
        exchange: The exchange.
        terms: What it allows.
        service: Who we are.
        instance: Which of the service's instances.
        on_close: Called once, when the membership has ended.
    """

    def __init__(
        self, exchange: Exchange, terms: Terms, service: str, instance: str, on_close: Callable[[], None]
    ) -> None:
        self.terms = terms
        self.outbox = UnbufferedOutbox(self)
        self.last_received = self.last_sent = 0.0
        self._exchange = exchange
        self._inbox = Inbox()
        self._on_close = on_close
        self._closed = False
        self._time = anyio.CancelScope()
        self._number = exchange.attach(self._inbox, service, instance)

    def put(self, frame: Frame) -> None:
        """See :meth:`Channel.put`."""
        if self._closed:
            return
        if frame.kind == Kind.PING:
            self._inbox.put(Frame(Kind.PONG, id=frame.id))
            self._inbox.flush()
        else:
            self._exchange.receive(self._number, (frame,))

    def has_room(self) -> bool:
        """See :meth:`Channel.has_room`; there is no buffer to fill."""
        return True

    async def wait_room(self) -> None:
        """See :meth:`Channel.wait_room`; there is no buffer to wait for."""

    async def listen(self, consume: Callable[[list[Frame]], bool]) -> None:
        """See :meth:`Channel.listen`."""
        while not self._closed:
            if not consume(await self._inbox.take()):
                return
        raise ConnectionLostError("the channel was closed")

    async def run(self) -> None:
        """See :meth:`Channel.run`."""
        # Every member lets time pass for all; whoever comes first does what is due.
        with self._time:
            await self._exchange.run()

    def close(self) -> None:
        """See :meth:`Channel.close`."""
        if not self._closed:
            self._closed = True
            self._time.cancel()
            self._exchange.detach(self._number)
            self._on_close()
