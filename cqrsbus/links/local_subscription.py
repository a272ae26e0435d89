"""Our side of a subscription: what is asked for, and the credit that goes back."""

from typing import Final

from cqrsbus.links.channel import Channel
from cqrsbus.links.port import Sink, SubscriptionSpec
from cqrsbus.wire.frames import MAX_U16, Frame, Kind
from cqrsbus.wire.header import encode_header

#: However many bytes were granted, half of this many are returned without delay.
MAX_UNRETURNED_BYTES: Final = 2 * 1024 * 1024
#: What a SUBSCRIBE frame has at most beside its body: its head, the longest topic, and a group's name.
_OTHERS: Final = 1024


class LocalSubscription:
    """What we listen to; it outlives connections.

    Args:
        number: Our number for it, the frames' channel.
        spec: What we listen to.
        sink: Where deliveries go.
        established: Whether every connection is to have it, or only whoever asks for it, until it was confirmed once.
    """

    def __init__(self, number: int, spec: SubscriptionSpec, sink: Sink, *, established: bool = True) -> None:
        self.number = number
        self.spec = spec
        self.sink = sink
        self.established = established
        #: The channel on which the broker has confirmed it.
        self.confirmed_on: Channel | None = None
        self._requested_on: Channel | None = None
        self._granted = 1
        self._granted_bytes = 1
        self._messages = 0
        self._bytes = 0

    def request(self, id: int, channel: Channel) -> Frame:
        """The SUBSCRIBE frame, about to be sent over this channel."""
        # What it brings may be handled before the confirmation is looked at, and counts.
        self._requested_on = channel
        self._messages = self._bytes = 0
        fields: dict[str, str | int] = {"kind": self.spec.kind, "batches": True}
        if self.spec.group:
            fields["group"] = self.spec.group
        if self.spec.credit_messages:
            fields["messages"] = self.spec.credit_messages
        return Frame.of(
            Kind.SUBSCRIBE,
            channel=self.number,
            id=id,
            topic=self.spec.pattern.encode(),
            header=encode_header(fields),
            # A broker that takes small frames only is told nothing.
            body=self.spec.contract if len(self.spec.contract) + _OTHERS <= channel.terms.max_frame else b"",
        )

    def confirm(self, channel: Channel, confirmation: Frame) -> None:
        """The broker has accepted it, and grants this credit."""
        self.confirmed_on = channel
        self.established = True
        self._granted = max(1, confirmation.detail)
        self._granted_bytes = max(1, min(confirmation.ttl, MAX_UNRETURNED_BYTES))

    def handled(self, channel: Channel, size: int) -> None:
        """Count a delivery that needs no settlement of its own; credit goes back in bulk."""
        if channel is not self._requested_on:
            return
        self._messages += 1
        self._bytes += size
        if self._messages * 2 >= self._granted or self._bytes * 2 >= self._granted_bytes:
            channel.put(Frame(Kind.CREDIT, channel=self.number, detail=min(self._messages, MAX_U16), id=self._bytes))
            self._messages = self._bytes = 0
