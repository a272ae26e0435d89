"""TestBus: the buses of a system, as they are, with a broker of their own, in one test.

The rules:

1. The buses run as in production: the same handlers, codec, middleware and drain, and a real broker with the limits
   of a real one. Only where the broker is, and what is named in ``overrides``, is the test's.
2. Leaving waits until nothing is in flight, stops the buses in the opposite order, and leaves each as it was: the next
   test may use it again, on another event loop.
3. A handler's failure is never lost: a caller who waits gets it as the ``__cause__`` of its error; one that no caller
   is told of ends the test, unless the test has said that it expects it.
"""

import logging
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from types import TracebackType
from typing import Any, ClassVar, Self

import anyio

from cqrsbus.broker.limits import BrokerLimits
from cqrsbus.broker.server import Broker
from cqrsbus.bus.bus import Bus
from cqrsbus.bus.context import get_context
from cqrsbus.bus.embedded import make_link
from cqrsbus.bus.requirements import CheckMode
from cqrsbus.testing.brokers import chosen_broker
from cqrsbus.testing.failures import Failures
from cqrsbus.testing.faults import Faults
from cqrsbus.testing.line import Line
from cqrsbus.testing.overrides import check_overrides, overridden
from cqrsbus.testing.quiet import Member, wait_quiet
from cqrsbus.testing.recorder import Recorder
from cqrsbus.testing.records import CalledRecords, HandledRecords

log = logging.getLogger(__name__)


class TestBus:
    """Runs buses in a test: ``async with TestBus(bus) as t``.

    Args:
        buses: One bus, or all those of a system; they share one broker.
        broker: ``memory``, ``tcp``, or the URL of a broker that runs; default: what ``pytest --cqrsbus-broker`` or the
            variable ``CQRSBUS_TEST_BROKER`` says, then ``memory``.
        limits: What the broker allows; default: what a real one does.
        overrides: What handlers get in place of a dependency, for as long as the test runs.
        check: What follows if a bus requires what no bus of the test handles, or handles in another way: ``error`` or
            ``warn``; default: what follows in production. It is looked at when all are there.

    Raises:
        ValueError: There is no bus, no such broker, or limits for a broker that has its own; an override is for what no
            handler depends on.
    """

    #: Not a class of tests.
    __test__: ClassVar = False

    def __init__(
        self,
        *buses: Bus,
        broker: str | None = None,
        limits: BrokerLimits | None = None,
        overrides: Mapping[Callable[..., Any], Callable[..., Any]] | None = None,
        check: CheckMode | None = None,
    ) -> None:
        if not buses:
            raise ValueError("TestBus needs a bus: TestBus(bus)")
        check_overrides(overrides or {}, buses)
        self.buses = buses
        self._choice = broker
        self._limits = limits
        self._overrides = overrides or {}
        self._check_mode: CheckMode | None = check
        self._stack = AsyncExitStack()
        self._url = ""
        self._broker: Broker | None = None
        self._members: list[Member] = []
        self._recorder = Recorder()
        self.faults = Faults()

    @property
    def bus(self) -> Bus:
        """The first bus."""
        return self.buses[0]

    @property
    def broker(self) -> Broker | None:
        """The broker; None if it is not the test's own."""
        return self._broker

    @property
    def url(self) -> str:
        """Where the broker is."""
        return self._url

    @property
    def sent(self) -> CalledRecords[Any]:
        """The commands that were sent."""
        return self._recorder.called("sent message", "send")

    @property
    def asked(self) -> CalledRecords[Any]:
        """The queries that were asked, those for a stream or for many answers too."""
        return self._recorder.called("asked message", "ask", "stream", "gather")

    @property
    def published(self) -> CalledRecords[Any]:
        """The events that were published."""
        return self._recorder.called("published message", "publish")

    @property
    def handled(self) -> HandledRecords[Any]:
        """The messages that handlers were given."""
        return self._recorder.handled()

    @property
    def errors(self) -> Failures:
        """The failures that no caller was told of."""
        return self._recorder.errors

    async def __aenter__(self) -> Self:
        """Start the broker and the buses.

        Raises:
            RuntimeError: A bus is running already.
            ConnectError, TopologyError, InvalidMessageError: As entering a bus does.
        """
        # What an earlier test has left to be looked at.
        self._recorder, self.faults = Recorder(), Faults()
        async with AsyncExitStack() as stack:
            self._url, self._broker = await stack.enter_async_context(chosen_broker(self._choice, self._limits))
            modes: list[CheckMode | None] = [self._check_mode or bus._check_mode for bus in self.buses]
            for bus in self.buses:
                stack.enter_context(self._taken_over(bus))
            for bus in self.buses:
                await stack.enter_async_context(bus)
            for bus, mode in zip(self.buses, modes, strict=True):
                await self._insist(bus, mode)
            stack.push_async_exit(self._finish)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait until nothing is in flight, and stop.

        Raises:
            ExceptionGroup: Handlers failed, no caller was told, and the test has not expected it.
        """
        await self._stack.__aexit__(exc_type, exc, traceback)
        if exc is None:
            self.errors.raise_unexpected()
        elif isinstance(exc, Exception):
            self.errors.tell(exc)

    async def idle(self) -> None:
        """Wait until nothing is in flight: no call, no message, no handler at work, and nothing that these set off.

        It looks at no clock, and waits for ever if a handler does: put ``anyio.fail_after`` around it. Events that a
        ``subscribe`` of the test has not taken yet do not count.

        Raises:
            RuntimeError: Called by a handler, which would wait for itself.
        """
        if get_context() is not None:
            raise RuntimeError("t.idle() was called by a handler, which would wait for itself: call it in the test")
        await wait_quiet(self._members, self._recorder.open)

    async def disconnect(self, bus: Bus | None = None) -> None:
        """Cut the connection, as a pulled cable does, and return when the bus has noticed; it reconnects by itself.

        Args:
            bus: Whose; None: that of each bus.
        """
        for line in self._lines_of(bus):
            await line.cut()

    @asynccontextmanager
    async def partition(self, bus: Bus | None = None) -> AsyncGenerator[None]:
        """Cut the connection and keep it cut for the length of the block; then wait until it is back.

        A bus that another such block keeps cut as well is not waited for.

        Args:
            bus: Whose; None: that of each bus.
        """
        lines = self._lines_of(bus)
        for line in lines:
            line.block()
        try:
            await self.disconnect(bus)
            yield
        finally:
            for line in lines:
                line.unblock()
        for member in self._members:
            if member.line in lines and not member.line.is_blocked:
                await member.bus.wait_connected()

    @contextmanager
    def _taken_over(self, bus: Bus) -> Generator[None]:
        """Make a bus ours, and give it back as it was."""
        line, url, drain_timeout, check_mode = Line(self.faults), bus._url, bus._drain_timeout, bus._check_mode
        bus.url = self._url
        bus._check_mode = None
        bus._make_link = partial(make_link, around=line.around)
        self._members.append(member := Member(bus, line))
        try:
            with self._recorder.watching(bus), overridden(bus, self._overrides):
                yield
        finally:
            self._members.remove(member)
            bus._url, bus._drain_timeout, bus._check_mode = url, drain_timeout, check_mode
            bus._make_link = make_link

    async def _insist(self, bus: Bus, mode: CheckMode | None) -> None:
        # To a broker of the test's own, nobody else will come.
        mode = "error" if mode == "wait" and self._broker is not None else mode
        await bus._insist(mode, anyio.current_time() + bus._connect_timeout)

    async def _finish(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc is not None:
            return
        patience = max(bus._drain_timeout for bus in self.buses)
        with anyio.move_on_after(patience) as scope:
            await self.idle()
        if scope.cancelled_caught:
            hanging = ", ".join(str(record) for record in self._recorder.at_work)
            log.warning(
                "the test was left with work in flight after %g s: %s", patience, hanging or "no handler at work"
            )
            # They have had their time.
            for bus in self.buses:
                bus._drain_timeout = 0

    def _lines_of(self, bus: Bus | None) -> list[Line]:
        lines = [member.line for member in self._members if bus is None or member.bus is bus]
        if not lines:
            raise ValueError(f"the bus {bus.name!r} takes no part in this test" if bus else "the test is not running")
        return lines
