"""A broker, a service and a caller, small enough that every bound is near."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from itertools import count

import anyio
from anyio.lowlevel import checkpoint

from cqrsbus import Broker, BrokerLimits, Bus, Code, Context, RoutingLimits
from cqrsbus.broker.exchange import Exchange
from cqrsbus.bus.consumer import Consumer
from cqrsbus.links.broker_link import BrokerLink
from cqrsbus.links.port import LinkStatus
from cqrsbus.routing.router import Router
from cqrsbus.wire.frames import Frame, Kind
from tests.integration.sweep.points import until

LIMITS = BrokerLimits(
    drain_timeout=1.0,
    routing=RoutingLimits(
        max_open_requests=6,
        max_credit_messages=4,
        max_queue_bytes=32 * 1024,
        publish_window=8 * 1024,
    ),
)

#: Answers in a stream.
STREAMED = 5


class Journal:
    """What became of each message that a handler was called with: its topic, and its number."""

    def __init__(self) -> None:
        self.started = Counter[tuple[str, int]]()
        self.finished = Counter[tuple[str, int]]()
        self.cancelled = Counter[tuple[str, int]]()

    @contextmanager
    def entry(self, topic: str, number: int) -> Generator[None]:
        """Around the handling of one message."""
        self.started[topic, number] += 1
        try:
            yield
        except (anyio.get_cancelled_exc_class(), GeneratorExit):
            # An async generator is closed where it stands, instead.
            self.cancelled[topic, number] += 1
            raise
        self.finished[topic, number] += 1

    @property
    def running(self) -> int:
        """Messages that are being handled."""
        return self.started.total() - self.finished.total() - self.cancelled.total()

    def check(self) -> None:
        """No message was handled twice, and each that was started has come to one end."""
        assert self.started == self.finished + self.cancelled
        assert set(self.started.values()) <= {1}


class World:
    """Who takes part.

    Args:
        broker: A running broker.
    """

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.service = Bus("service", broker.url)
        self.second = Bus("service", broker.url)
        self.caller = Bus("caller", broker.url)
        self.journal = Journal()
        self.numbers = count(1)
        #: Handlers on topics that end in ``.gated`` go on once this is set.
        self.gate = anyio.Event()
        _declare_handlers(self)
        _declare_several_answers(self)

    @property
    def exchange(self) -> Exchange:
        """The broker's."""
        assert self.broker._exchange is not None
        return self.broker._exchange

    @property
    def router(self) -> Router:
        """The broker's."""
        return self.exchange.router

    @property
    def buses(self) -> tuple[Bus, ...]:
        """All who are connected."""
        return self.service, self.second, self.caller

    @property
    def links(self) -> list[BrokerLink]:
        """How they are connected."""
        return [link for bus in self.buses if isinstance(link := bus._link, BrokerLink)]

    @property
    def consumers(self) -> list[Consumer]:
        """All that the handlers are behind."""
        return [consumer for bus in self.buses for consumer in bus._consumers]

    def open_gate(self) -> None:
        """Let every gated handler go on; those to come meet a closed gate again."""
        self.gate.set()
        self.gate = anyio.Event()

    def hang_up(self) -> None:
        """Let the broker send the caller away."""
        assert self.broker._exchange is not None
        number = next(number for number, peer in self.router._peers.items() if peer.service == "caller")
        self.broker._exchange._carry_out([(number, Frame(Kind.ERROR, detail=Code.SHUTTING_DOWN))])

    async def prove_alive(self) -> None:
        """Each verb still works, for the same buses."""
        number = next(self.numbers)
        await self.caller.send("c", number, wait=True)
        await self.caller.publish("e", number)
        assert await self.caller.ask("q", number) == number
        # That it was the last of the events says that none was left out.
        await until(lambda: self.journal.finished["e", number] == 1, "the event arrived")

    async def flush(self) -> None:
        """Let the broker and every bus have what was said so far."""
        for link in (*self.links, *self.links):
            await link.flush()


def _nothing(world: World) -> None: ...


@asynccontextmanager
async def running_world(url: str, declare: Callable[[World], None] = _nothing) -> AsyncGenerator[World]:
    """A world with a broker.

    Args:
        url: Where it listens.
        declare: Declares more handlers.
    """
    async with Broker(url, limits=LIMITS) as broker:
        world = World(broker)
        declare(world)
        async with world.service, world.second, world.caller:
            yield world


@asynccontextmanager
async def hung_up(world: World) -> AsyncGenerator[anyio.Event]:
    """The caller has lost its connection, and gets a new one when the event is set."""
    link, may_return = world.caller._link, anyio.Event()
    assert isinstance(link, BrokerLink)
    open_channel = link._open_channel

    async def open_later() -> object:
        await may_return.wait()
        return await open_channel()

    link._open_channel = open_later  # type: ignore[assignment]
    try:
        world.hang_up()
        await until(lambda: world.caller.status is LinkStatus.RECONNECTING, "the connection was lost")
        yield may_return
    finally:
        may_return.set()
        link._open_channel = open_channel
        await world.caller.wait_connected()


def _declare_handlers(world: World) -> None:
    service, journal = world.service, world.journal

    @service.query_handler("q")
    async def answer(number: int) -> int:
        with journal.entry("q", number):
            await checkpoint()
        return number

    @service.query_handler("q.nested")
    async def answer_by_asking(number: int) -> int:
        with journal.entry("q.nested", number):
            return await service.ask("q.inner", number, returns=int)

    @service.query_handler("q.inner")
    async def answer_the_inner(number: int) -> int:
        with journal.entry("q.inner", number):
            await checkpoint()
        return number

    @service.query_handler("q.gated", concurrency=1)
    async def answer_when_let(number: int) -> int:
        with journal.entry("q.gated", number):
            await world.gate.wait()
        return number

    @service.command_handler("c")
    async def do(number: int) -> None:
        with journal.entry("c", number):
            await checkpoint()

    @service.command_handler("c.given.up", on_cancel="cancel")
    async def do_unless_left(number: int) -> None:
        with journal.entry("c.given.up", number):
            await checkpoint()

    @service.event_handler("e", group="all")
    async def listen(number: int) -> None:
        with journal.entry("e", number):
            await checkpoint()

    @service.query_handler("q.with.children")
    async def answer_with_children(number: int, ctx: Context) -> int:
        async def child() -> None:
            with journal.entry("child", number):
                await checkpoint()
                await checkpoint()

        with journal.entry("q.with.children", number):
            ctx.start_soon(child)
            await checkpoint()
        return number


def _declare_several_answers(world: World) -> None:
    journal = world.journal

    @world.service.query_handler("q.stream")
    async def answer_many(number: int) -> AsyncGenerator[int]:
        with journal.entry("q.stream", number):
            for each in range(STREAMED):
                yield each

    for bus in (world.service, world.second):

        @bus.query_handler("q.everywhere", concurrency=1)
        async def answer_everywhere(number: int, name: str = bus.instance) -> int:
            with journal.entry(f"q.everywhere at {name}", number):
                await checkpoint()
            return number
