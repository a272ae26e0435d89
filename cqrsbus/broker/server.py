"""The broker as a server, told in reading order: listen, accept, serve, drain, stop.

The rules:

1. Entering returns once every URL accepts connections; leaving drains: it stops accepting, tells every client,
   lets open requests finish for at most ``drain_timeout`` seconds, and closes.
2. A client that misbehaves ends its own session only.
3. Without TLS and credentials a broker listens on this machine only, unless told ``insecure=True``.
"""

import logging
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from cqrsbus.background import Background
from cqrsbus.broker import embedded
from cqrsbus.broker.exchange import Exchange
from cqrsbus.broker.greeting import new_broker_id
from cqrsbus.broker.limits import BrokerLimits
from cqrsbus.broker.session import LAST_WORDS, Session
from cqrsbus.errors import Code
from cqrsbus.routing.counters import Counters
from cqrsbus.serving import serve_until_told
from cqrsbus.transports import Listener, is_loopback, listen, parse_url
from cqrsbus.transports.port import ByteStream
from cqrsbus.transports.url import DEFAULT_URL

log = logging.getLogger(__name__)

GOODBYE = "the broker is shutting down"


class Broker:
    """A broker that listens on one or more URLs.

    Args:
        urls: ``tcp://HOST:PORT`` (port 0: the system chooses), ``unix:///PATH``, or ``memory:NAME`` for the
            buses of this event loop. Without any: ``tcp://127.0.0.1:9100``.
        limits: What clients may do.
        insecure: Listen on addresses that other machines can reach although the traffic is neither
            encrypted nor authenticated.

    Raises:
        ValueError: A URL is malformed, or open to other machines without ``insecure``.
    """

    def __init__(self, *urls: str, limits: BrokerLimits | None = None, insecure: bool = False) -> None:
        self.limits = limits or BrokerLimits()
        self._wanted = urls or (DEFAULT_URL,)
        for url in self._wanted:
            _check(url, insecure=insecure)
        self._exchange: Exchange | None = None
        self._listeners: list[Listener] = []
        self._urls: list[str] = []
        self._sessions: set[Session] = set()
        self._session_left = anyio.Event()
        self._is_draining = False
        self._stack = AsyncExitStack()
        self._tasks: TaskGroup | None = None
        self._id = new_broker_id()

    @property
    def url(self) -> str:
        """The first URL it listens on, with the port the system chose."""
        return self.urls[0]

    @property
    def urls(self) -> tuple[str, ...]:
        """Every URL it listens on, in the order given."""
        if not self._urls:
            raise RuntimeError("the broker is not listening: use 'async with Broker(...) as broker'")
        return tuple(self._urls)

    @property
    def counters(self) -> Counters:
        """What the broker has counted since it started, for instance ``late_replies``."""
        if self._exchange is None:
            raise RuntimeError("the broker has not been started")
        return self._exchange.router.counters

    @property
    def connections(self) -> int:
        """The number of clients that are connected over sockets; those inside this process are not counted."""
        return len(self._sessions)

    async def __aenter__(self) -> Self:
        """Listen on every URL.

        Raises:
            ConnectError: A URL cannot be listened on, for instance because a live broker does already.
        """
        if self._tasks is not None:
            raise RuntimeError("this broker is running already")
        # It may have run before, on another event loop.
        self._is_draining = False
        self._exchange = exchange = Exchange(self.limits)
        self._opening = anyio.CapacityLimiter(self.limits.max_opening)
        async with AsyncExitStack() as stack:
            stack.callback(self._forget)
            for url in self._wanted:
                await self._listen(url, exchange, stack)
            self._tasks = tasks = await stack.enter_async_context(Background())
            tasks.start_soon(exchange.run)
            tasks.start_soon(self._beat)
            for listener in self._listeners:
                tasks.start_soon(self._accept, listener, exchange, tasks)
            stack.push_async_callback(self._drain, exchange)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Drain and stop."""
        return await self._stack.__aexit__(exc_type, exc, traceback)

    async def run(self) -> None:
        """Serve until cancelled or told to stop by SIGINT or SIGTERM, then drain; a second signal is immediate."""
        await serve_until_told(self)

    def _forget(self) -> None:
        self._tasks = None
        self._urls.clear()
        self._listeners.clear()

    async def _listen(self, url: str, exchange: Exchange, stack: AsyncExitStack) -> None:
        address = parse_url(url)
        if address.scheme == "memory":
            stack.enter_context(embedded.offer(address.name, exchange))
            self._urls.append(url)
            return
        listener = await listen(url)
        stack.callback(listener.close)
        self._listeners.append(listener)
        self._urls.append(listener.url)

    async def _accept(self, listener: Listener, exchange: Exchange, tasks: TaskGroup) -> None:
        while True:
            try:
                stream = await listener.accept()
            except anyio.ClosedResourceError:
                return
            # Who takes its time to say HELLO keeps others waiting to be accepted, not us growing.
            session = Session(stream, exchange, self._id)
            try:
                await self._opening.acquire_on_behalf_of(session)
            except BaseException:
                stream.close()
                raise
            tasks.start_soon(self._serve, session, stream)

    async def _serve(self, session: Session, stream: ByteStream) -> None:
        self._sessions.add(session)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._release_when_opened, session)
                if self._is_draining:
                    session.end(Code.SHUTTING_DOWN, GOODBYE)
                elif sum(not each.ending for each in self._sessions) > self.limits.max_connections:
                    session.end(Code.TOO_MANY_CONNECTIONS, f"this broker allows {self.limits.max_connections}")
                await session.serve()
        except Exception:
            log.exception("%s: the session failed", stream.peer)
        finally:
            self._sessions.discard(session)
            self._session_left.set()

    async def _release_when_opened(self, session: Session) -> None:
        try:
            await session.opened.wait()
        finally:
            self._opening.release_on_behalf_of(session)

    async def _beat(self) -> None:
        while True:
            await anyio.sleep(self.limits.heartbeat / 4)
            now = anyio.current_time()
            for session in tuple(self._sessions):
                session.check_heartbeat(now)

    async def _drain(self, exchange: Exchange) -> None:
        """Stop accepting, let open requests finish, and send every client away."""
        self._is_draining = True
        for listener in self._listeners:
            listener.close()
        for session in tuple(self._sessions):
            if session.is_opening:
                session.end(Code.SHUTTING_DOWN, GOODBYE)
        exchange.announce_drain()
        with anyio.move_on_after(self.limits.drain_timeout):
            await exchange.wait_idle()
        with anyio.move_on_after(2 * LAST_WORDS, shield=True):
            exchange.dismiss(Code.SHUTTING_DOWN, GOODBYE)
            for session in tuple(self._sessions):
                session.end(Code.SHUTTING_DOWN, GOODBYE)
            while self._sessions:
                self._session_left = anyio.Event()
                await self._session_left.wait()


def _check(url: str, *, insecure: bool) -> None:
    address = parse_url(url)
    if address.scheme == "memory" and not address.name:
        raise ValueError("a broker on 'memory:' needs a name to be found by: memory:NAME")
    if address.scheme == "tcp" and not is_loopback(address) and not insecure:
        raise ValueError(
            f"{url} can be reached from other machines, but the traffic is neither encrypted nor authenticated; "
            "listen on tcp://127.0.0.1:PORT or unix:///PATH, or say insecure=True if the network is trusted"
        )
