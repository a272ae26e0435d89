"""One connection, from its greeting to its loss: what comes is given to whom it concerns.

The rules:

1. Every subscription is restored, and confirmed, before the connection is called ready; one that was never there yet
   is the business of who asks for it.
2. Whoever is silent for ``heartbeat`` seconds says PING; who hears nothing for 2.5 times that gives up.
3. The broker's last words are read before a broken connection is reported.
"""

import logging
from collections.abc import Callable, Mapping

import anyio

from cqrsbus.background import Background
from cqrsbus.errors import BusError, ConnectionLostError, ProtocolError
from cqrsbus.links.call import Call, Verb
from cqrsbus.links.calls import OpenCalls
from cqrsbus.links.channel import Channel
from cqrsbus.links.incoming import Incoming
from cqrsbus.links.local_subscription import LocalSubscription
from cqrsbus.links.window import Window
from cqrsbus.native import clock
from cqrsbus.wire.failures import error_in
from cqrsbus.wire.frames import Flag, Frame, Kind

log = logging.getLogger(__name__)

DEAD_AFTER_HEARTBEATS = 2.5


class Conversation:
    """What is said over one connection.

    Args:
        channel: The connection.
        calls: The calls that wait for an answer.
        window: How much may be published.
        subscriptions: What we listen to, by number.
    """

    def __init__(
        self,
        channel: Channel,
        calls: OpenCalls,
        window: Window,
        subscriptions: Mapping[int, LocalSubscription],
    ) -> None:
        self._channel = channel
        self._calls = calls
        self._window = window
        self._subscriptions = subscriptions
        self._drained = anyio.Event()
        self._draining = self._over = False
        self._pinged = self._ponged = 0
        self._pong = anyio.Event()
        self._reading = anyio.CancelScope()
        self._fatal: BusError | None = None
        self._end = "the broker closed the connection"
        self._time = clock()
        others: dict[int, Callable[[Frame], None]] = {
            Kind.REJECT: self._on_reject,
            Kind.CANCEL: self._on_cancel,
            Kind.CREDIT: self._on_credit,
            Kind.PING: self._on_ping,
            Kind.PONG: self._on_pong,
            Kind.DRAIN: self._on_drain,
            Kind.ERROR: self._on_error,
        }
        self._incoming = Incoming(channel, calls, subscriptions, others, self._time)

    @property
    def channel(self) -> Channel:
        """The connection."""
        return self._channel

    async def run(self, *, on_ready: Callable[[], None]) -> str:
        """Talk until the connection is lost; returns why it was.

        Args:
            on_ready: Called once every subscription is in place.

        Raises:
            BusError: The broker refused a subscription; trying again would not help.
        """
        async with Background() as tasks:
            tasks.start_soon(self._write)
            tasks.start_soon(self._restore, on_ready)
            if self._channel.terms.heartbeat:
                tasks.start_soon(self._beat)
            with self._reading:
                await self._read()
        self._incoming.lose()
        if self._fatal is not None:
            raise self._fatal
        return self._end

    async def drain(self) -> None:
        """Ask for no more deliveries and wait until none comes any more."""
        self._draining = True
        self._channel.put(Frame(Kind.DRAIN))
        await self._drained.wait()

    async def flush(self) -> None:
        """Wait until the broker has read everything said so far: it answers a PING in turn."""
        number = self._pinged = self._pinged + 1
        self._channel.put(Frame(Kind.PING, id=number))
        while self._ponged < number and not self._over:
            await self._pong.wait()

    async def _write(self) -> None:
        try:
            await self._channel.run()
        except TimeoutError:
            self._end = "the broker takes nothing any more"
            self._reading.cancel()

    async def _read(self) -> None:
        try:
            await self._channel.listen(self._incoming.take)
        except (ConnectionLostError, ProtocolError) as error:
            self._end = error.reason
        finally:
            self._over = True
            self._drained.set()
            self._pong.set()

    async def _restore(self, on_ready: Callable[[], None]) -> None:
        try:
            # All in one go: nobody can ask for no more deliveries in between, after which none may subscribe.
            missing = [] if self._draining else [each for each in self._subscriptions.values() if each.established]
            calls = [self._request(subscription) for subscription in missing]
            for subscription, call in zip(missing, calls, strict=True):
                await call.end()
                subscription.confirm(self._channel, call.result())
                self._calls.close(call)
        except ConnectionLostError:
            return
        except BusError as error:
            self._fatal = error
            self._reading.cancel()
            return
        on_ready()

    def _request(self, subscription: LocalSubscription) -> Call:
        call = self._calls.open(Verb.SUBSCRIBE, subscription.spec.pattern, timeout=None, deadline=float("inf"))
        self._channel.put(subscription.request(call.id, self._channel))
        return call

    async def _beat(self) -> None:
        heartbeat = self._channel.terms.heartbeat
        while True:
            await anyio.sleep(heartbeat / 4)
            now = self._time()
            # What the next look would find too late is found now.
            if now - self._channel.last_received > (DEAD_AFTER_HEARTBEATS - 1 / 4) * heartbeat:
                self._end = f"nothing was received for {DEAD_AFTER_HEARTBEATS * heartbeat:g} s"
                self._reading.cancel()
            elif now - self._channel.last_sent >= heartbeat:
                self._channel.put(Frame(Kind.PING))

    def _on_reject(self, frame: Frame) -> None:
        if frame.id == 0:
            # For an event nobody waits.
            log.warning("the broker refused an event: %s", error_in(frame).reason)
        elif (call := self._calls.find(frame.id)) is not None:
            call.fail(error_in(frame, topic=call.topic))

    def _on_cancel(self, frame: Frame) -> None:
        delivery = self._incoming.deliveries.get(frame.id)
        if delivery is not None:
            delivery.cancel()

    def _on_credit(self, frame: Frame) -> None:
        if frame.flags & Flag.OF_STREAM:
            delivery = self._incoming.deliveries.get(frame.id)
            # Its last answer may have crossed the credit on the way.
            if delivery is not None:
                delivery.pay(frame.detail, frame.ttl)
        elif frame.channel == 0:
            self._window.credit(frame.id)

    def _on_ping(self, frame: Frame) -> None:
        self._channel.put(Frame(Kind.PONG, id=frame.id))

    def _on_pong(self, frame: Frame) -> None:
        self._ponged = max(self._ponged, frame.id)
        self._pong.set()
        self._pong = anyio.Event()

    def _on_drain(self, frame: Frame) -> None:
        self._drained.set()

    def _on_error(self, frame: Frame) -> None:
        error = error_in(frame)
        self._end = f"the broker ended the connection: {error.reason}"
        self._reading.cancel()
