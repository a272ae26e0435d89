"""A link to a cqrsbus broker, over whatever channel reaches it.

The rules are those of :mod:`cqrsbus.links.port`. How they are kept:

1. :class:`~cqrsbus.links.conversation.Conversation` is one connection, from its greeting to its loss; this
   file opens one after the other, with full jitter in between.
2. What outlives a connection is here: the subscriptions, the calls that wait, and the publish window.
3. The calls are in :mod:`cqrsbus.links.broker_calls`.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import count

import anyio
from anyio.abc import TaskStatus
from anyio.lowlevel import checkpoint_if_cancelled

from cqrsbus.background import Background
from cqrsbus.errors import AuthError, ConnectError, ConnectionLostError
from cqrsbus.links.backoff import FullJitter
from cqrsbus.links.broker_calls import BrokerCalls, deadline_of
from cqrsbus.links.call import Verb
from cqrsbus.links.call_waits import let_time_pass
from cqrsbus.links.channel import Channel
from cqrsbus.links.conversation import Conversation
from cqrsbus.links.line import Line
from cqrsbus.links.line_waits import wait_connected
from cqrsbus.links.local_subscription import LocalSubscription
from cqrsbus.links.port import LinkStatus, Sink, Subscribed, SubscriptionSpec
from cqrsbus.links.socket_channel import NotABrokerError
from cqrsbus.wire.frames import Frame, Kind

UNSUBSCRIBE_TIMEOUT = 3.0


class BrokerLink(BrokerCalls):
    """A link to a broker.

    Args:
        open_channel: Makes a connection, greeted and ready.
        name: What the broker is called in messages: its URL.
    """

    def __init__(self, open_channel: Callable[[], Awaitable[Channel]], name: str) -> None:
        super().__init__(Line(name))
        self._open_channel = open_channel
        self._conversation: Conversation | None = None
        self._subscriptions: dict[int, LocalSubscription] = {}
        self._numbers = count(1)
        #: Whether no more deliveries are wanted, over whatever connection.
        self._draining = False

    @property
    def status(self) -> LinkStatus:
        """How the link is doing."""
        return self._line.status

    @property
    def last_error(self) -> str:
        """Why it is not connected; empty if it is, or has not tried yet."""
        return self._line.last_error

    async def run(self, handlers: Sequence[tuple[SubscriptionSpec, Sink]], *, task_status: TaskStatus[None]) -> None:
        """See :meth:`Link.run`."""
        for spec, sink in handlers:
            self._add(LocalSubscription(next(self._numbers), spec, sink))
        try:
            async with Background() as tasks:
                tasks.start_soon(let_time_pass, self._calls)
                await self._stay_connected(task_status)
        finally:
            self._lost("the bus is closed")
            self._line.set_status(LinkStatus.CLOSED)

    async def wait_connected(self) -> None:
        """See :meth:`Link.wait_connected`."""
        await wait_connected(self._line, math.inf, "")

    async def subscribe(self, spec: SubscriptionSpec, sink: Sink, *, timeout: float | None) -> Subscribed:
        """See :meth:`Link.subscribe`."""
        await checkpoint_if_cancelled()
        subscription = LocalSubscription(next(self._numbers), spec, sink, established=False)
        self._add(subscription)
        deadline = deadline_of(timeout)
        try:
            channel = await wait_connected(self._line, deadline, spec.pattern)
            while subscription.confirmed_on is not channel:
                await self._confirm(subscription, channel, timeout, deadline)
                channel = await wait_connected(self._line, deadline, spec.pattern)
        except BaseException:
            # Whoever leaves, or whose time is over, waits for nothing more.
            self._forget(subscription, self._calls.next_number())
            raise
        return _Subscribed(self, subscription)

    async def drain(self) -> None:
        """See :meth:`Link.drain`."""
        self._draining = True
        if self._conversation is not None:
            await self._conversation.drain()

    async def flush(self) -> None:
        """See :meth:`Link.flush`."""
        if self._conversation is not None:
            await self._conversation.flush()

    # The life of connections.

    async def _stay_connected(self, task_status: TaskStatus[None]) -> None:
        backoff, was_connected = FullJitter(), False
        while True:
            try:
                channel = await self._open_channel()
            except AuthError:
                raise
            except ConnectError as error:
                # Once it was there, it will be again: now it may be starting, overloaded, or paused.
                if isinstance(error, NotABrokerError) and not was_connected:
                    raise
                self._line.note(str(error.reason))
            else:
                on_ready = _nothing if was_connected else task_status.started
                if await self._converse(channel, on_ready=on_ready):
                    was_connected = True
                    backoff.reset()
                if was_connected:
                    self._line.set_status(LinkStatus.RECONNECTING)
            await anyio.sleep(backoff.next_pause())

    async def _converse(self, channel: Channel, *, on_ready: Callable[[], None]) -> bool:
        """Talk until the connection is lost; returns whether it ever was ready."""
        ready = False

        def set_ready() -> None:
            nonlocal ready
            ready = True
            self._line.connect(channel)
            on_ready()

        self._window.reset(channel.terms.publish_window)
        self._calls.most = float(channel.terms.max_open_requests)
        # While what was begun is finished, its calls may need a connection; nothing new is to come over it.
        wanted = {} if self._draining else self._subscriptions
        self._conversation = Conversation(channel, self._calls, self._window, wanted)
        reason = "the bus is closed"
        try:
            self._line.note(await self._conversation.run(on_ready=set_ready))
            reason = f"the connection to {self._line.name} was lost while the answer was awaited"
        finally:
            channel.close()
            self._lost(reason)
        return ready

    def _lost(self, reason: str) -> None:
        self._line.disconnect()
        self._conversation = None
        self._calls.lose_all(reason)
        self._window.reset(0)

    # Subscriptions.

    def _add(self, subscription: LocalSubscription) -> None:
        self._subscriptions[subscription.number] = subscription

    async def _confirm(
        self, subscription: LocalSubscription, channel: Channel, timeout: float | None, deadline: float
    ) -> None:
        pattern = subscription.spec.pattern
        if self._draining:
            raise ConnectionLostError("the bus is being closed: no more events are taken", topic=pattern)
        call = self._calls.open(Verb.SUBSCRIBE, pattern, timeout=timeout, deadline=deadline)
        # A lost connection is no failure: there will be another.
        with suppress(ConnectionLostError):
            call.put(subscription.request(call.id, channel), channel.outbox)
            await self._answer(call, partial(subscription.confirm, channel))

    async def remove(self, subscription: LocalSubscription) -> None:
        """Forget a subscription, and wait until the broker has; nothing is delivered from now on."""
        call = self._calls.open(Verb.SUBSCRIBE, subscription.spec.pattern, timeout=None, deadline=math.inf)
        try:
            if self._forget(subscription, call.id):
                with anyio.move_on_after(UNSUBSCRIBE_TIMEOUT):
                    await call.end()
        finally:
            self._calls.close(call)

    def _forget(self, subscription: LocalSubscription, number: int) -> bool:
        """Let nothing more be delivered, and tell the broker with this number; returns whether it can be told."""
        self._subscriptions.pop(subscription.number, None)
        if self._conversation is None:
            return False
        # Not only when all is in place: it may be being restored right now.
        self._conversation.channel.put(Frame(Kind.UNSUBSCRIBE, channel=subscription.number, id=number))
        return True


class _Subscribed:
    """See :class:`cqrsbus.links.port.Subscribed`."""

    def __init__(self, link: BrokerLink, subscription: LocalSubscription) -> None:
        self._link = link
        self._subscription = subscription

    async def unsubscribe(self) -> None:
        """See :meth:`Subscribed.unsubscribe`."""
        await self._link.remove(self._subscription)


def _nothing() -> None:
    pass
