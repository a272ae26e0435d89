"""How much of everything is done, so that the whole stays within its time."""

from dataclasses import dataclass
from typing import NamedTuple

from benchmarks import systems


class Size(NamedTuple):
    """How often a system does each thing in a round; 0 for never.

    Args:
        events: Published one to one.
        asks: One at a time; eight times as many with 128 in flight.
        sends: Confirmed, with 32 in flight.
    """

    events: int
    asks: int = 0
    sends: int = 0


@dataclass(frozen=True)
class Sizes:
    """The sizes of a whole run.

    Args:
        rounds: How often everything is done.
        factor: What part of the full sizes is done.
        listeners: Subscribers of the fan-out, in five processes.
        other_subscriptions: How many there are beside those that are measured.
        idle_connections: How many there are beside those that are measured.
    """

    rounds: int = 5
    factor: float = 1.0
    listeners: int = 50
    other_subscriptions: tuple[int, ...] = (1_000, 100_000)
    idle_connections: int = 1_000

    def times(self, count: int) -> int:
        """So many, at this run's size."""
        return max(200, int(count * self.factor))

    def of(self, name: str) -> Size:
        """What this system does in a round."""
        full = _SIZES.get(name, Size(events=60_000))
        return Size(*(self.times(count) if count else 0 for count in full))


FULL = Sizes()
#: Enough to see that everything works; its figures say nothing.
SMOKE = Sizes(rounds=1, factor=0.01, listeners=5, other_subscriptions=(100, 1_000), idle_connections=50)

_SIZES = {
    systems.OURS: Size(events=120_000, asks=3_000, sends=12_000),
    systems.ASYNCIO: Size(events=80_000, asks=1_500),
    systems.TRIO: Size(events=120_000, asks=1_500),
    systems.NATS: Size(events=120_000, asks=3_000),
    "nats-py, typed": Size(events=40_000, asks=1_500),
    systems.FASTSTREAM: Size(events=8_000, asks=600),
    systems.JETSTREAM: Size(events=0, sends=12_000),
}
