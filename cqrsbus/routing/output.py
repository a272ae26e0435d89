"""What the router decided, to be carried out in order."""

from typing import Final

from cqrsbus.errors import BusError, Code
from cqrsbus.routing.job import Delivery
from cqrsbus.routing.peer import Peer
from cqrsbus.wire.failures import fields_of
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import encode_header

#: A peer's number and a frame to send to it. After an ERROR frame its connection is to be closed.
Emission = tuple[int, Frame]
# A plain number: looking up a member of an enum costs more than using it.
_REPLY: Final = Kind.REPLY.value


class Output:
    """Collects emissions until they are taken."""

    __slots__ = ("_emissions",)

    def __init__(self) -> None:
        self._emissions: list[Emission] = []

    def emit(self, peer: Peer, frame: Frame) -> None:
        """Send a frame to a peer."""
        self._emissions.append((peer.number, frame))

    def answer(self, peer: Peer, request_id: int, reply: Frame, stamp: bytes) -> None:
        """Forward a handler's reply to the one who asked, under the number that one gave."""
        answer = Frame(_REPLY, reply.flags, reply.detail, 0, request_id, 0, stamp, reply.tail, 0, reply.header_size)
        self._emissions.append((peer.number, answer))

    def pay(self, delivery: Delivery, items: int, size: int) -> None:
        """Tell a handler that its stream may go on."""
        credit = Frame(Kind.CREDIT, flags=Flag.OF_STREAM, id=delivery.id, detail=items, ttl=size)
        self.emit(delivery.subscription.peer, credit)

    def reject(self, peer: Peer, request_id: int, error: BusError) -> None:
        """Refuse a peer's request; the connection lives on."""
        header = encode_header(fields_of(error))
        self.emit(peer, Frame.of(Kind.REJECT, id=request_id, detail=error.code, header=header))

    def partial(self, peer: Peer, request_id: int, reply: Frame, by: Peer) -> None:
        """Forward the reply of one instance among several; more follow."""
        answer = Frame(Kind.REPLY, flags=reply.flags | Flag.MORE, detail=reply.detail, id=request_id)
        answer.stamp, answer.tail, answer.header_size = by.full_stamp, reply.tail, reply.header_size
        self.emit(peer, answer)

    def end(self, peer: Peer, code: Code, reason: str) -> None:
        """End a peer's connection, telling it why."""
        self.emit(peer, Frame.of(Kind.ERROR, detail=code, header=encode_header({"reason": reason})))

    def take(self) -> list[Emission]:
        """Hand over what was collected."""
        taken, self._emissions = self._emissions, []
        return taken
