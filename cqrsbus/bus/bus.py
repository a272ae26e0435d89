"""The bus: what an application declares its handlers on and calls others through.

The rules:

1. Entering ``async with bus`` connects and registers every handler, and returns when the broker has confirmed them
   all; leaving finishes what has been started and disconnects.
2. Handlers are declared before that; while the bus is running there is ``subscribe``.
3. Handlers are told apart from calls: see :mod:`cqrsbus.bus.registry` and :mod:`cqrsbus.bus.caller`.
4. What only some buses need is imported when it is clear that one does, and not as late as on the event loop.
"""

import os
import re
import secrets
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, closing, contextmanager
from dataclasses import replace
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
from anyio.abc import TaskGroup

from cqrsbus.background import Background
from cqrsbus.bus.caller import Caller
from cqrsbus.bus.codec import codec_named
from cqrsbus.bus.composer import Composer, new_instance_name
from cqrsbus.bus.depends import DependencyOverrides
from cqrsbus.bus.embedded import make_link, prepare
from cqrsbus.bus.handler import Handler
from cqrsbus.bus.registry import HandlerGroup, M
from cqrsbus.bus.requirements import MODES, CheckMode, MessageClass, check_requires, check_version
from cqrsbus.bus.time_left import DEFAULT_TIMEOUT, time_left
from cqrsbus.errors import ConnectError, TopologyError
from cqrsbus.links.port import Link, LinkStatus, Sink, SubscriptionSpec
from cqrsbus.native import scope_deadline
from cqrsbus.serving import serve_until_told
from cqrsbus.signals import until_signal
from cqrsbus.transports.url import DEFAULT_URL

if TYPE_CHECKING:
    from cqrsbus.bus.blocking import SyncBus
    from cqrsbus.bus.consumer import Consumer
    from cqrsbus.bus.dispatch import Binding, OnFailure
    from cqrsbus.bus.manifest import Manifest
    from cqrsbus.contracts.judge import Finding

FLUSH_TIMEOUT: Final = 2.0
_SERVICE_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Bus(HandlerGroup, Caller):
    """A service's place on the bus.

    Args:
        name: The service. Buses of one name are instances of one service and compete for its messages. Without a
            name the bus is a service of its own, which nobody else can join.
        url: The broker: ``tcp://HOST:PORT``, ``unix:///PATH``, ``memory:`` (one of its own in this process) or
            ``memory:NAME`` (shared by the buses of this event loop). Default: the variable ``CQRSBUS_URL``, then
            ``tcp://127.0.0.1:9100``.
        codec: What messages are written with: ``"msgpack"`` or ``"json"``. Both are read.
        connect_timeout: Seconds that entering may take, with the check of what is required.
        drain_timeout: Seconds that started work may take to finish when leaving.
        send_tracebacks: Whether callers are sent the traceback of what a handler here raises. It shows file names and
            lines of source: for services among friends.
        version: The service's version, told to whoever checks that services fit together.
        requires: The messages that it needs others to handle: classes of Command, Query and Event. Entering checks that
            somebody does, with types that fit.
        check: What follows if they do not: ``"error"`` does not start, ``"warn"`` logs it, ``"wait"`` looks again until
            they do, for at most ``connect_timeout``, and then does not start.
        warn_blocking: Seconds that a handler may keep the event loop from turning before a warning names it; None
            for no warning.

    Raises:
        ValueError: The name or the version is malformed, there is no such way to check, or ``warn_blocking`` is no
            time.
        TypeError: What is required is no class of messages.
        TopologyError: What is required has no topic.
        InvalidMessageError: There is no such codec.
    """

    def __init__(
        self,
        name: str = "",
        url: str | None = None,
        *,
        codec: str = "msgpack",
        connect_timeout: float = 10.0,
        drain_timeout: float = 10.0,
        send_tracebacks: bool = False,
        version: str = "",
        requires: Sequence[MessageClass] = (),
        check: CheckMode = "error",
        warn_blocking: float | None = 1.0,
    ) -> None:
        if name and not _SERVICE_NAME.fullmatch(name):
            raise ValueError(f"the service name {name!r} is not 1 to 64 letters, digits, '_', '.' and '-'")
        if check not in MODES:
            raise ValueError(f"check is one of {', '.join(map(repr, MODES))}, not {check!r}")
        if warn_blocking is not None and not warn_blocking > 0:
            raise ValueError(f"warn_blocking is {warn_blocking!r}; it is more than 0 s, or None")
        self.name = name or f"anonymous-{secrets.token_hex(4)}"
        self.instance = new_instance_name()
        self._url = url
        prepare(self.url)
        self._codec = codec_named(codec)
        self._connect_timeout = connect_timeout
        self._drain_timeout = drain_timeout
        self._send_tracebacks = send_tracebacks
        self._version = check_version(version)
        self._requires = check_requires(requires)
        if self._requires:
            import_module("cqrsbus.bus.checking")
        # None where a test looks by itself, when every bus is there.
        self._check_mode: CheckMode | None = check
        self._warn_blocking = warn_blocking
        self._stack: AsyncExitStack | None = None
        self._consumers: list[Consumer] = []
        #: What is called in place of which dependency, for tests: ``bus.dependency_overrides[real] = fake``.
        self.dependency_overrides = DependencyOverrides()
        # What a test puts others in the place of.
        self._make_link = make_link
        self._on_failure: OnFailure | None = None
        HandlerGroup.__init__(self)
        Caller.__init__(self, Composer(self._codec))

    @property
    def url(self) -> str:
        """Where its broker is."""
        return self._url or os.environ.get("CQRSBUS_URL") or DEFAULT_URL

    @url.setter
    def url(self, url: str) -> None:
        if self._link is not None:
            raise RuntimeError("the bus is running: its broker cannot be changed")
        self._url = url
        prepare(url)

    @property
    def status(self) -> LinkStatus:
        """How its connection is doing: connecting, connected, reconnecting or closed."""
        return LinkStatus.CLOSED if self._link is None else self._link.status

    async def wait_connected(self) -> None:
        """Wait until connected with every handler and subscription in place.

        Raises:
            RuntimeError: The bus is not running.
        """
        await self._running("wait_connected").link.wait_connected()

    async def check(self, *, timeout: float | None = DEFAULT_TIMEOUT) -> "list[Finding]":
        """Find out what does not fit between what it requires, the queries it answers, and the handlers that are there.

        Args:
            timeout: Seconds that it may take; None for no limit.

        Returns:
            A handler that is missing, a schema that breaks, two services that answer a query in different ways; nothing
            if all is well.

        Raises:
            RuntimeError: The bus is not running.
            DeadlineExceededError: The broker did not answer in time.
            ConnectionLostError: The connection was lost meanwhile.
        """
        # Of a bus that requires nothing, nobody knew before that it would be needed.
        from cqrsbus.bus.checking import look

        return await look(self._running("check").link, self._manifest, self.handlers, timeout=time_left(timeout))

    async def __aenter__(self) -> Self:
        """Connect and register every handler; then check what is required.

        Raises:
            ConnectError: Not done within ``connect_timeout``, or what answers is no broker.
            TopologyError: The broker refused a handler, for instance because another service owns its command; or what
                is required is not handled, or not with types that fit.
            InvalidMessageError: A handler's declared type cannot be carried.
            QueueFullError: It has more handlers than the broker allows a connection (``max_subscriptions``).
            RuntimeError: The bus is running already.
        """
        if self._link is not None:
            raise RuntimeError("the bus is running already")
        bindings = self._bindings()
        async with AsyncExitStack() as stack:
            stack.callback(self._forget)
            link = self._make_link(self.url, self.name, self.instance)
            self._place_on(link, scope_deadline())
            tasks = await stack.enter_async_context(Background())
            if self.handlers and self._warn_blocking is not None:
                from cqrsbus.bus.handling import Watchdog

                watchdog = stack.enter_context(Watchdog(self.handlers, self._warn_blocking))
                tasks.start_soon(watchdog.turn)
            self._consumers = consumers = [self._consumer(binding, tasks) for binding in bindings]
            contracts = self._manifest.bodies([binding.handlers for binding in bindings]) if bindings else ()
            specs: list[tuple[SubscriptionSpec, Sink]] = [
                (replace(binding.spec, contract=contract), consumer.accept)
                for binding, consumer, contract in zip(bindings, consumers, contracts, strict=True)
            ]
            deadline = anyio.current_time() + self._connect_timeout
            await self._connect(link, specs, tasks)
            stack.push_async_callback(self._drain, link, consumers)
            await self._insist(self._check_mode, deadline)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Finish what has been started, for at most ``drain_timeout`` seconds, and disconnect."""
        assert self._stack is not None
        return await self._stack.__aexit__(exc_type, exc, traceback)

    async def run(self) -> None:
        """Serve until cancelled or told to stop by SIGINT or SIGTERM, then drain; a second signal is immediate.

        Raises:
            ConnectError, TopologyError, InvalidMessageError: As entering does.
        """
        if self._link is not None:
            await until_signal()
        else:
            await serve_until_told(self)

    @contextmanager
    def sync(self, *, backend: str = "asyncio") -> "Generator[SyncBus]":
        """Run the bus in a thread of its own, for a program without an event loop.

        Args:
            backend: The event loop to run: ``"asyncio"`` or ``"trio"``.

        Raises:
            ConnectError, TopologyError, InvalidMessageError: As entering does.
        """
        from anyio.from_thread import start_blocking_portal

        from cqrsbus.bus.blocking import SyncBus

        with (
            start_blocking_portal(backend) as portal,
            closing(SyncBus(self, portal)) as bus,
            portal.wrap_async_context_manager(self),
        ):
            yield bus

    def override_dependency(
        self, dependency: Callable[..., Any], replacement: Callable[..., Any]
    ) -> AbstractContextManager[None]:
        """Put a replacement in the place of a dependency: ``with bus.override_dependency(open_session, fake):``.

        It counts for this bus alone, from the next message on, until the block is left.

        Args:
            dependency: What ``Depends`` was given.
            replacement: What is called instead; it may have dependencies of its own.

        Raises:
            TypeError: The replacement can never be called.
        """
        return self.dependency_overrides.scope(dependency, replacement)

    def handling_middleware(self, middleware: M) -> M:
        """See :meth:`HandlerGroup.handling_middleware`; it is around that of the groups that are included."""
        self._refuse_running(middleware)
        return super().handling_middleware(middleware)

    def _register(self, handler: Handler) -> None:
        if self._link is not None:
            raise TopologyError(
                f"{handler} came when the bus was running already: declare handlers before, or use bus.subscribe()",
                topic=handler.topic,
            )
        super()._register(handler)

    @property
    def _manifest(self) -> "Manifest":
        from cqrsbus.bus.manifest import Manifest

        return Manifest(self.name, self._version, self._requires)

    def _bindings(self) -> "list[Binding]":
        if not self.handlers:
            return []
        from cqrsbus.bus.handling import bind

        return bind(
            self._surrounded(),
            self._codec,
            self._on_failure,
            tracebacks=self._send_tracebacks,
            overrides=self.dependency_overrides,
        )

    @staticmethod
    def _consumer(binding: "Binding", tasks: TaskGroup) -> "Consumer":
        from cqrsbus.bus.handling import Consumer

        return Consumer(
            binding.work,
            concurrency=binding.concurrency,
            cancellable=binding.cancellable,
            tasks=tasks,
            waiting=binding.waiting,
        )

    async def _connect(self, link: Link, specs: Sequence[tuple[SubscriptionSpec, Sink]], tasks: TaskGroup) -> None:
        try:
            with anyio.fail_after(self._connect_timeout):
                await tasks.start(link.run, specs)
        except TimeoutError:
            why = link.last_error or "nobody answers there, or not as a cqrsbus broker does"
            raise ConnectError(f"not connected to {self.url} within {self._connect_timeout:g} s: {why}") from None

    async def _insist(self, mode: CheckMode | None, deadline: float) -> None:
        if self._requires and mode is not None:
            from cqrsbus.bus.checking import insist

            await insist(lambda left: self.check(timeout=left), mode, deadline)

    async def _drain(self, link: Link, consumers: "list[Consumer]") -> None:
        with anyio.move_on_after(self._drain_timeout):
            await link.drain()
            for consumer in consumers:
                await consumer.wait_idle()
        for consumer in consumers:
            consumer.hand_back()
        with anyio.move_on_after(FLUSH_TIMEOUT):
            await link.flush()

    def _forget(self) -> None:
        self._nowait = self._stack = None
        self._consumers = []
        for subscription in self._listening:
            subscription.end()
        self._listening.clear()
