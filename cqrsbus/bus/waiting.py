"""Where deliveries wait for a worker: in the order they came, or in that order for each key.

The rules of the order they came in:

1. Of messages that came together a few are read at a time, before their turn: to read and to handle them by turns
   empties the processor's caches of the one for the other. It is done for types that run nothing of the application's
   when they are read, so that nobody sees it; and the few bound what has been read and is not handled yet.
2. One that cannot be read is read again when its turn comes, by whoever then tells what is wrong with it.

The rules of the order by key:

1. Deliveries of one key wait in a lane, in the order they came. Of each lane at most one is being worked on, and the
   next is ready when that one is released.
2. A lane whose turn it is is ready, and the ready lanes take turns. So whatever may be started can be taken at once.
3. A delivery is read when it comes, since its key is in it; what it was read as goes to the handler. One that cannot be
   read has a lane of its own: it holds up nothing, and whoever takes it settles it.
4. There are as many lanes as keys that wait or are worked on: no more than the subscription's credit.
"""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, NamedTuple, Protocol

from cqrsbus.bus.codec import NOT_READ
from cqrsbus.bus.reading import read_each
from cqrsbus.bus.types import MessageType
from cqrsbus.errors import InvalidMessageError
from cqrsbus.links.deliveries import AnyDelivery
from cqrsbus.links.port import Deliveries

#: So many messages are read at a time.
READ_AHEAD: Final = 32


@dataclass(slots=True)
class Reading:
    """What a delivery was read as before its turn came.

    Args:
        key: What it is ordered by; equal to nothing else if it could not be told.
        message: The decoded message.
        unreadable: Why there is none.
        keyless: Why there is a message but no key.
    """

    key: Hashable
    message: Any = None
    unreadable: InvalidMessageError | None = None
    keyless: Exception | None = None

    def opened(self) -> object:
        """The message.

        Raises:
            InvalidMessageError: There is none.
        """
        if self.unreadable is not None:
            raise self.unreadable
        return self.message


class Waiting(Protocol):
    """Deliveries that have not been started."""

    def __len__(self) -> int: ...

    @property
    def is_ready(self) -> bool:
        """Whether there is one to take."""
        ...

    def put(self, deliveries: Deliveries) -> None:
        """Add what has just come."""
        ...

    def clear(self) -> list[AnyDelivery]:
        """Take out all, in the order they came."""
        ...


class ArrivalOrder:
    """The first that came is the next; see :class:`Waiting`.

    Args:
        into: What they are to be read as; None if that is not known here.
    """

    def __init__(self, into: MessageType[Any] | None = None) -> None:
        self._into = into if into is not None and into.runs_nothing else None
        #: As they came together; the first may have been begun with.
        self._came: deque[Deliveries] = deque()
        self._next = 0
        self._waiting = 0
        #: The next few, the very next last, and what each was read as, if it was. Whoever takes one has it alone.
        self._few: list[AnyDelivery] = []
        self._read: list[object] = []
        self._message: object = NOT_READ

    def __len__(self) -> int:
        return self._waiting

    @property
    def is_ready(self) -> bool:
        """See :attr:`Waiting.is_ready`."""
        return self._waiting > 0

    def put(self, deliveries: Deliveries) -> None:
        """See :meth:`Waiting.put`."""
        count = len(deliveries)
        if count:
            self._came.append(deliveries)
            self._waiting += count

    def pop(self) -> AnyDelivery | None:
        """The next, if there is one."""
        if not self._waiting:
            return None
        if not self._few:
            self._few = few = self._next_few()
            few.reverse()
            if self._into is not None and len(few) > 1:
                self._read = read_each(few, self._into)
        self._waiting -= 1
        self._message = self._read.pop() if self._read else NOT_READ
        return self._few.pop()

    def message(self) -> object:
        """What the delivery that was popped last was read as, if it was; it is told once, and not kept."""
        message, self._message = self._message, NOT_READ
        return message

    def _next_few(self) -> list[AnyDelivery]:
        first, place = self._came[0], self._next
        end = self._next = min(place + READ_AHEAD, len(first))
        if end == len(first):
            self._came.popleft()
            self._next = 0
        return list(first[place:end])

    def clear(self) -> list[AnyDelivery]:
        """See :meth:`Waiting.clear`."""
        deliveries = self._few[::-1]
        self._few, self._read = [], []
        while self._came:
            deliveries += self._next_few()
        self._waiting = 0
        return deliveries


class _Entry(NamedTuple):
    number: int
    delivery: AnyDelivery
    reading: Reading


class KeyOrder:
    """The first of each key is the next of that key; see :class:`Waiting`.

    Args:
        read: Reads a delivery; raises nothing.
    """

    def __init__(self, read: Callable[[AnyDelivery], Reading]) -> None:
        self._read = read
        self._numbers = count()
        self._waiting = 0
        self._lanes: dict[Hashable, deque[_Entry]] = {}
        self._ready: deque[deque[_Entry]] = deque()

    def __len__(self) -> int:
        return self._waiting

    @property
    def is_ready(self) -> bool:
        """See :attr:`Waiting.is_ready`."""
        return bool(self._ready)

    def put(self, deliveries: Deliveries) -> None:
        """See :meth:`Waiting.put`."""
        for delivery in deliveries:
            self._put(delivery)

    def _put(self, delivery: AnyDelivery) -> None:
        reading = self._read(delivery)
        lane = self._lanes.get(reading.key)
        if lane is None:
            lane = self._lanes[reading.key] = deque()
            self._ready.append(lane)
        lane.append(_Entry(next(self._numbers), delivery, reading))
        self._waiting += 1

    def take(self) -> tuple[AnyDelivery, Reading] | None:
        """The next that may be started, and what it was read as; None if none may be now."""
        if not self._ready:
            return None
        _, delivery, reading = self._ready.popleft().popleft()
        self._waiting -= 1
        return delivery, reading

    def release(self, reading: Reading) -> None:
        """One that was taken is done with."""
        lane = self._lanes[reading.key]
        if lane:
            self._ready.append(lane)
        else:
            del self._lanes[reading.key]

    def clear(self) -> list[AnyDelivery]:
        """See :meth:`Waiting.clear`; lanes that are being worked on stay until they are released."""
        entries = sorted((entry for lane in self._lanes.values() for entry in lane), key=lambda entry: entry.number)
        for lane in self._ready:
            del self._lanes[lane[0].reading.key]
        for lane in self._lanes.values():
            lane.clear()
        self._ready.clear()
        self._waiting = 0
        return [entry.delivery for entry in entries]
