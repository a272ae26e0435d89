"""A client behind a socket, as the exchange sees it: what it says is routed, what it is sent waits up to a bound.

Nothing here waits, and nothing is known of how the connection begins and ends: see session.py.
"""

from collections.abc import Callable
from typing import Final

from cqrsbus.broker.exchange import Exchange
from cqrsbus.transports.outbox import FRAMES_AT_ONCE, Outbox
from cqrsbus.transports.send_buffer import WRITE_SIZE
from cqrsbus.wire.frames import Frame, Kind

# Plain numbers: looking up a member of an enum costs more than using it.
_ERROR: Final = Kind.ERROR.value
_PING: Final = Kind.PING.value
_PONG: Final = Kind.PONG.value


class SocketMember:
    """One client; see :class:`cqrsbus.broker.exchange.Member`.

    Args:
        out: What it is sent.
        exchange: Where its frames go.
        finish: Called when it was told ERROR.
        cut_off: Called when it does not take what it is sent.
    """

    __slots__ = ("_cut_off", "_exchange", "_finish", "_most", "_out", "_unflushed", "ending", "number")

    def __init__(
        self, out: Outbox, exchange: Exchange, finish: Callable[[], None], cut_off: Callable[[], None]
    ) -> None:
        self._out = out
        self._exchange = exchange
        self._finish = finish
        self._cut_off = cut_off
        self._most = exchange.limits.most_waiting
        self._unflushed = 0
        #: Its number in the exchange, once it takes part; 0 before.
        self.number = 0
        self.ending = False

    def put(self, frame: Frame) -> None:
        """Buffer a frame for it; cut it off if it does not take what it is sent."""
        self._out.put(frame)
        self._unflushed += 1
        if frame.kind == _ERROR:
            self._finish()
        elif self._out.size > self._most and not self.ending:
            # Who is quick may have room for it.
            self.flush()
            if self._out.size > self._most:
                self._cut_off()
        elif self._unflushed >= FRAMES_AT_ONCE:
            # Of much that is said together it gets the first part while the rest is looked at.
            self.flush()

    def flush(self) -> None:
        """Send what was put."""
        self._unflushed = 0
        self._out.flush_nowait()

    def flush_soon(self) -> None:
        """Send what was put: at once if it is worth a write, else with what else is put in this turn of the loop."""
        self._unflushed = 0
        if self._out.size >= WRITE_SIZE:
            self._out.flush_nowait()
        else:
            self._out.flush_soon()

    def take(self, frames: list[Frame]) -> bool:
        """Route what it sent; returns whether to go on."""
        has_ended = frames[-1].kind == _ERROR
        if has_ended:
            frames.pop()
        for frame in frames:
            if frame.kind in (_PING, _PONG):
                frames = self._answer_pings(frames)
                break
        self._exchange.receive(self.number, frames)
        return not self.ending and not has_ended

    def _answer_pings(self, frames: list[Frame]) -> list[Frame]:
        """Keep what concerns the connection alone from the exchange."""
        others: list[Frame] = []
        for frame in frames:
            if frame.kind == _PING:
                self.put(Frame(_PONG, id=frame.id))
            elif frame.kind != _PONG:
                others.append(frame)
        self.flush()
        return others
