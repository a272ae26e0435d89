"""Requests: a message becomes a frame that is put, and a call that is open, in one go. Nothing here waits."""

import math
from typing import Final

from cqrsbus.errors import PayloadTooLargeError
from cqrsbus.links.call import Call, Verb
from cqrsbus.links.calls import OpenCalls
from cqrsbus.links.channel import AnyOutbox
from cqrsbus.links.line import Line
from cqrsbus.links.outgoing import Outgoing
from cqrsbus.wire.frames import HEAD_SIZE, MAX_U16, MAX_U32, Flag, Frame, Kind

#: A broker says in time what was not done in time, and why; that word may take this many seconds to arrive.
GRACE: Final = 0.5
# Plain numbers: looking up a member of an enum costs more than using it.
_ASK: Final = Kind.ASK.value
_SEND: Final = Kind.SEND.value


def request_frame(kind: int, flags: int, message: Outgoing) -> Frame:
    """The frame of a message.

    Args:
        kind: The number of a :class:`~cqrsbus.wire.frames.Kind`.
        flags: See :class:`~cqrsbus.wire.frames.Flag`.
        message: What is said.

    Raises:
        PayloadTooLargeError: Its headers are larger than any frame's.
    """
    topic = message.topic.encode()
    header = message.header()
    if len(header) > MAX_U16:
        raise PayloadTooLargeError(f"its headers have {len(header)} bytes", topic=message.topic)
    tail = topic + header + message.body
    return Frame(kind, flags, 0, 0, 0, 0, b"", tail, len(topic), len(header))


def set_ttl(frame: Frame, deadline: float, now: float) -> None:
    """Say how long there is to answer.

    Args:
        frame: The request.
        deadline: Until when, on anyio's clock; infinity for no limit.
        now: The time on the same clock.
    """
    if deadline != math.inf:
        frame.ttl = milliseconds(deadline - now)


def milliseconds(timeout: float) -> int:
    """How a head says the seconds that there are to answer: where there is a limit, it is never 0."""
    left = int(timeout * 1000)
    return MAX_U32 if left > MAX_U32 else 1 if left < 1 else left


class Requests:
    """The requests over one link, as far as nothing has to be waited for.

    Args:
        line: Whether it is connected.
        calls: Where they are to be open.
    """

    __slots__ = ("_calls", "_line")

    def __init__(self, line: Line, calls: OpenCalls) -> None:
        self._line = line
        self._calls = calls

    def send(self, message: Outgoing, timeout: float | None, wait: bool) -> Call | None:
        """See :meth:`Link.send_nowait`."""
        return self.make(Verb.SEND, _SEND, Flag.WAIT if wait else Flag.NONE, message, timeout)

    def ask(self, message: Outgoing, timeout: float | None) -> Call | None:
        """See :meth:`Link.ask_nowait`."""
        origin, calls, outbox = message.origin, self._calls, self._line.outbox
        if origin is None or outbox is None:
            return self.make(Verb.ASK, _ASK, Flag.NONE, message, timeout)
        now, topic, body = calls.now(), message.topic, message.body
        deadline = math.inf if timeout is None else now + timeout
        if deadline <= now or calls.is_full or not outbox.has_room():
            return None
        # Not from the deadline, which would be rounded either way: who grants the same time says the same.
        ttl = 0 if timeout is None or timeout == math.inf else milliseconds(timeout)
        self._line.check_size(HEAD_SIZE + len(topic) + origin.header_size + len(body), origin.header_size, topic)
        call = calls.open(Verb.ASK, topic, timeout=timeout, deadline=deadline + GRACE)
        call.ask(origin, message.number, body, ttl, outbox)
        return call

    def make(self, verb: Verb, kind: int, flags: int, message: Outgoing, timeout: float | None) -> Call | None:
        """Make a call if nothing is in its way; else None: it has to wait for something first.

        Args:
            verb: What it does.
            kind: See :func:`request_frame`.
            flags: See :func:`request_frame`.
            message: See :func:`request_frame`.
            timeout: Seconds it has; None for no limit.

        Raises:
            PayloadTooLargeError: It does not fit into a frame that the broker takes.
        """
        calls, outbox = self._calls, self._line.outbox
        now = calls.now()
        deadline = math.inf if timeout is None else now + timeout
        # Who is cancelled already has no time left.
        if outbox is None or deadline <= now or calls.is_full or not outbox.has_room():
            return None
        frame = request_frame(kind, flags, message)
        return self.put(outbox, verb, frame, message.topic, timeout, deadline, now)

    def put(
        self,
        outbox: AnyOutbox,
        verb: Verb,
        frame: Frame,
        topic: str,
        timeout: float | None,
        deadline: float,
        now: float,
    ) -> Call:
        """Make a call that nothing is in the way of, by the line's outbox; see :meth:`make`."""
        self._line.check_size(frame.size, frame.header_size, topic)
        set_ttl(frame, deadline, now)
        call = self._calls.open(verb, topic, timeout=timeout, deadline=deadline + GRACE)
        frame.id = call.id
        call.put(frame, outbox)
        return call
