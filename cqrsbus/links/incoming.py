"""Frames that have come are given to whom they concern. Nothing here waits."""

from collections.abc import Callable, Mapping
from typing import Final

from cqrsbus.errors import Code
from cqrsbus.links.broker_delivery import BrokerDelivery
from cqrsbus.links.calls import OpenCalls
from cqrsbus.links.channel import Channel
from cqrsbus.links.event_delivery import EventDeliveries
from cqrsbus.links.local_subscription import LocalSubscription
from cqrsbus.links.source import Source
from cqrsbus.wire.batch import answers, bodies, messages_in
from cqrsbus.wire.frames import Flag, Frame, Kind

# Plain numbers: looking up a member of an enum costs more than using it.
_CONFIRM: Final = Kind.CONFIRM.value
_DELIVER: Final = Kind.DELIVER.value
_REPLY: Final = Kind.REPLY.value
_BATCH: Final = Flag.BATCH
_SETTLED: Final = Flag.NEEDS_ACK | Flag.NEEDS_REPLY


class Incoming:
    """What comes over one connection.

    Args:
        channel: The connection.
        calls: The calls that wait for an answer.
        subscriptions: What we listen to, by number.
        others: What takes the frames that are neither deliveries nor answers, by their kind.
        time: Tells the time on anyio's clock.
    """

    def __init__(
        self,
        channel: Channel,
        calls: OpenCalls,
        subscriptions: Mapping[int, LocalSubscription],
        others: Mapping[int, Callable[[Frame], None]],
        time: Callable[[], float],
    ) -> None:
        self._channel = channel
        self._calls = calls
        self._subscriptions = subscriptions
        self._others = others
        self._time = time
        #: What was delivered and is to be settled, by number.
        self.deliveries: dict[int, BrokerDelivery] = {}

    def take(self, frames: list[Frame]) -> bool:
        """Take frames that came together; returns that more are wanted."""
        for frame in frames:
            kind = frame.kind
            if kind == _DELIVER:
                self._deliver(frame)
            elif kind in (_REPLY, _CONFIRM):
                self._answer(frame)
            else:
                self._others[kind](frame)
        return True

    def _answer(self, frame: Frame) -> None:
        if frame.kind == _REPLY and frame.flags & _BATCH:
            for reply in answers(frame):
                self._calls.answer(reply)
        else:
            self._calls.answer(frame)

    def _deliver(self, frame: Frame) -> None:
        subscription = self._subscriptions.get(frame.channel)
        deadline = self._time() + frame.ttl / 1000 if frame.ttl else None
        if subscription is None:
            self._return_stray(frame)
        elif frame.id:
            source, given = Source(frame, self._channel, deadline), self.deliveries
            said = bodies(frame) if frame.flags & _BATCH else [frame.body]
            subscription.sink([BrokerDelivery(frame, source, place, body, given) for place, body in enumerate(said)])
        else:
            subscription.sink(EventDeliveries(frame, self._channel, subscription, deadline))

    def _return_stray(self, frame: Frame) -> None:
        """It crossed our UNSUBSCRIBE on the way: somebody else may want it."""
        if frame.flags & _SETTLED:
            for place in range(messages_in(frame)):
                self._channel.put(Frame(Kind.NACK, id=frame.id + place, detail=Code.HANDLER_LOST))

    def lose(self) -> None:
        """The connection is lost: whoever asked over it cannot be answered any more."""
        for delivery in list(self.deliveries.values()):
            delivery.lose()
