"""When a client is sent what the exchange puts for it."""

import pytest

from cqrsbus.broker.exchange import Exchange
from cqrsbus.broker.limits import MIN_FRAME, BrokerLimits
from cqrsbus.broker.member import SocketMember
from cqrsbus.transports.outbox import FRAMES_AT_ONCE, Outbox
from cqrsbus.transports.send_buffer import WRITE_SIZE
from cqrsbus.wire.frames import HEAD_SIZE, Frame, Kind


class Client:
    """A member, and what is done to send it something."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.out = Outbox(self._send, lambda: None, lambda _: self.done.append("soon"))
        self.member = SocketMember(self.out, Exchange(), lambda: None, lambda: None)

    def _send(self) -> None:
        self.done.append("now")
        self.out.clear()

    def put(self, *sizes: int) -> list[str]:
        """What is done when frames of these sizes were put, and are to be sent soon."""
        for size in sizes:
            self.member.put(Frame(Kind.DELIVER, tail=bytes(size - HEAD_SIZE)))
        self.member.flush_soon()
        return self.done


@pytest.mark.parametrize("sizes", [(WRITE_SIZE,), (WRITE_SIZE // 2, WRITE_SIZE - WRITE_SIZE // 2), (3 * WRITE_SIZE,)])
def test_what_is_worth_a_write_is_sent_at_once(sizes: tuple[int, ...]) -> None:
    assert Client().put(*sizes) == ["now"]


@pytest.mark.parametrize("sizes", [(100,), (WRITE_SIZE - 1,), (100,) * (FRAMES_AT_ONCE - 1)])
def test_less_waits_for_what_else_is_put_in_the_turn(sizes: tuple[int, ...]) -> None:
    assert Client().put(*sizes) == ["soon"]


def test_of_many_small_frames_the_first_are_sent_while_the_rest_is_put() -> None:
    assert Client().put(*[100] * (FRAMES_AT_ONCE + 1)) == ["now", "soon"]


class Slow:
    """A client that takes nothing for now."""

    def __init__(self, most: int) -> None:
        self.is_cut_off = False
        self.taken = 0
        self.out = Outbox(self._send, lambda: None, lambda _: None)
        exchange = Exchange(BrokerLimits(max_frame=MIN_FRAME, max_outbox=most))
        self.member = SocketMember(self.out, exchange, lambda: None, self._cut_off)

    def _send(self) -> None:
        self.out.sent(min(self.taken, self.out.size))

    def _cut_off(self) -> None:
        self.is_cut_off = True

    def put(self, size: int) -> None:
        self.member.put(Frame(Kind.DELIVER, tail=bytes(size - HEAD_SIZE)))


def test_who_takes_what_was_put_before_is_not_cut_off() -> None:
    client = Slow(most=2 * MIN_FRAME)
    client.taken = MIN_FRAME
    for _ in range(5):
        client.put(MIN_FRAME)
    assert not client.is_cut_off


def test_who_takes_nothing_is_cut_off_when_more_waits_than_may() -> None:
    client = Slow(most=2 * MIN_FRAME)
    for _ in range(2):
        client.put(MIN_FRAME)
    assert not client.is_cut_off
    client.put(HEAD_SIZE)
    assert client.is_cut_off
