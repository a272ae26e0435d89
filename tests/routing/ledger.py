"""What the router owes to whom: predicted by the model, crossed out when it comes."""

from collections import Counter
from typing import NamedTuple

from cqrsbus.errors import Code
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import decode_header

#: Says something about a request, by the number that its caller gave it.
_ABOUT_REQUESTS = (Kind.REPLY, Kind.REJECT, Kind.CONFIRM)


class Owed(NamedTuple):
    """A frame that must come."""

    client: int
    kind: int
    id: int
    detail: int
    flags: int = 0
    stamp: bytes = b""
    #: The body of an answer; of a deadline that has passed, where.
    said: bytes = b""


class Ledger:
    """Everything that is owed, and what must have been counted."""

    def __init__(self) -> None:
        self._owed: Counter[Owed] = Counter()
        self.counted: Counter[str] = Counter()

    def expect(self, owed: Owed) -> None:
        self._owed[owed] += 1

    def see(self, client: int, frame: Frame) -> None:
        said = frame.body
        if frame.detail == Code.DEADLINE_EXCEEDED and frame.kind in _ABOUT_REQUESTS:
            said = str(decode_header(frame.header)["stage"]).encode()
        seen = Owed(client, frame.kind, frame.id, frame.detail, frame.flags, frame.stamp, said)
        assert self._owed[seen] > 0, f"nobody is owed {seen}; owed are {self.due}"
        self._owed[seen] -= 1
        if frame.kind == Kind.REJECT or (frame.kind == Kind.REPLY and not frame.flags & Flag.MORE):
            self._check_end(client, frame.id)

    def _check_end(self, client: int, id: int) -> None:
        rest = [each for each in self.due if (each.client, each.id) == (client, id) and each.kind in _ABOUT_REQUESTS]
        assert not rest, f"it ended before {rest}"

    @property
    def due(self) -> list[Owed]:
        return list((+self._owed).elements())
