"""The calls over a link to a cqrsbus broker: send, ask, stream, gather, describe and publish.

The rules:

1. A call waits for a connection, for room in its send buffer, and for a place among the open calls, all within its own
   deadline; then it is put, and nothing that happens afterwards sends it again.
2. A call that is left before its end says CANCEL.
3. Events are put as long as the publish window is open; now and then other tasks get a turn.
"""

import math
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from cqrsbus.errors import DeadlineExceededError
from cqrsbus.links.answer import Answer, answer_in, nothing_in
from cqrsbus.links.call import Call, Verb
from cqrsbus.links.call_waits import wait_place
from cqrsbus.links.calls import OpenCalls
from cqrsbus.links.channel import Channel
from cqrsbus.links.line import Line
from cqrsbus.links.line_waits import wait_connected
from cqrsbus.links.outgoing import Outgoing
from cqrsbus.links.port import Described, StreamTerms
from cqrsbus.links.publisher import Publisher
from cqrsbus.links.replies import BrokerReplies
from cqrsbus.links.replies_call import RepliesCall
from cqrsbus.links.requests import GRACE, Requests, request_frame, set_ttl
from cqrsbus.wire.frames import Flag, Frame, Kind
from cqrsbus.wire.header import encode_header

T = TypeVar("T")

# Plain numbers: looking up a member of an enum costs more than using it.
_ASK: Final = Kind.ASK.value
_SEND: Final = Kind.SEND.value


class BrokerCalls:
    """The calls over one link.

    Args:
        line: Whether it is connected.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._calls = OpenCalls()
        self._requests = Requests(line, self._calls)
        #: See :meth:`Link.send_nowait` and :meth:`Link.ask_nowait`.
        self.send_nowait: Callable[[Outgoing, float | None, bool], Call | None] = self._requests.send
        self.ask_nowait: Callable[[Outgoing, float | None], Call | None] = self._requests.ask
        #: See :attr:`Link.publisher`.
        self.publisher = Publisher(line)
        self._window = self.publisher.window

    @property
    def late_answers(self) -> int:
        """Answers that came for calls which had ended."""
        return self._calls.late

    def send(self, message: Outgoing, *, timeout: float | None, wait: bool) -> Awaitable[None]:
        """See :meth:`Link.send`."""
        return self._call(Verb.SEND, _SEND, Flag.WAIT if wait else Flag.NONE, message, timeout, nothing_in)

    def ask(self, message: Outgoing, *, timeout: float | None) -> Awaitable[Answer]:
        """See :meth:`Link.ask`."""
        return self._call(Verb.ASK, _ASK, Flag.NONE, message, timeout, answer_in)

    async def stream(self, message: Outgoing, terms: StreamTerms) -> BrokerReplies:
        """See :meth:`Link.stream`."""
        frame, lasts_until = request_frame(_ASK, Flag.STREAM, message), deadline_of(terms.lasts)
        begins_by = min(deadline_of(terms.timeout), lasts_until)
        channel = await self._room_to_call(frame, message.topic, begins_by)
        set_ttl(frame, lasts_until, anyio.current_time())
        # Of the time to begin in, the broker knows nothing.
        limit = begins_by + GRACE if begins_by == lasts_until else begins_by
        call = self._calls.begin(RepliesCall, Verb.ASK, message.topic, timeout=terms.timeout, deadline=limit)
        call.lasts_until = lasts_until + GRACE
        return self._put_for_several(frame, call, channel, terms)

    async def gather(self, message: Outgoing, *, timeout: float | None) -> BrokerReplies:
        """See :meth:`Link.gather`."""
        frame, deadline = request_frame(_ASK, Flag.EVERY, message), deadline_of(timeout)
        channel = await self._room_to_call(frame, message.topic, deadline)
        set_ttl(frame, deadline, anyio.current_time())
        call = self._calls.begin(RepliesCall, Verb.ASK, message.topic, timeout=timeout, deadline=deadline + GRACE)
        call.lasts_until = deadline + GRACE
        return self._put_for_several(frame, call, channel)

    async def describe(self, kind: str, topic: str, *, timeout: float | None) -> list[Described]:
        """See :meth:`Link.describe`."""
        deadline = deadline_of(timeout)
        frame = Frame.of(Kind.DESCRIBE, topic=topic.encode(), header=encode_header({"kind": kind}))
        channel = await self._room_to_call(frame, topic, deadline)
        call = self._calls.begin(RepliesCall, Verb.DESCRIBE, topic, timeout=timeout, deadline=deadline)
        replies, described = self._put_for_several(frame, call, channel), list[Described]()
        try:
            while (reply := await replies.next()) is not None:
                described.append(Described(reply.instance, reply.body))
        finally:
            replies.leave()
        return described

    def _put_for_several(
        self, frame: Frame, call: RepliesCall, channel: Channel, terms: StreamTerms | None = None
    ) -> BrokerReplies:
        frame.id = call.id
        channel.put(frame)
        return BrokerReplies(call, channel, self._calls, terms)

    async def publish(self, message: Outgoing, *, timeout: float | None) -> None:
        """See :meth:`Link.publish`."""
        self.publisher.begin_turn()
        await checkpoint()
        await self._wait_to_publish(message.topic, timeout)
        self.publisher.put(message)

    def _call(
        self, verb: Verb, kind: int, flags: int, message: Outgoing, timeout: float | None, read: Callable[[Frame], T]
    ) -> Awaitable[T]:
        """Make a call; what is returned is to be awaited at once. Where nothing is in the way it is one coroutine."""
        call = self._requests.make(verb, kind, flags, message, timeout)
        if call is None:
            return self._call_when_possible(verb, request_frame(kind, flags, message), message.topic, timeout, read)
        return self._answer(call, read)

    async def _call_when_possible(
        self, verb: Verb, frame: Frame, topic: str, timeout: float | None, read: Callable[[Frame], T]
    ) -> T:
        deadline = deadline_of(timeout)
        channel = await self._room_to_call(frame, topic, deadline)
        call = self._requests.put(channel.outbox, verb, frame, topic, timeout, deadline, self._calls.now())
        return await self._answer(call, read)

    async def _room_to_call(self, frame: Frame, topic: str, deadline: float) -> Channel:
        await checkpoint_if_cancelled()
        channel = self._line.channel
        try:
            if channel is None or self._calls.is_full or not channel.has_room():
                channel = await self._wait_to_call(topic, deadline)
            self._line.check_size(frame.size, frame.header_size, topic)
            if deadline <= anyio.current_time():
                raise DeadlineExceededError("its time was over before it was sent", stage="connect", topic=topic)
        except BaseException:
            # It may have been given a place, and makes no call now.
            self._calls.offer_place()
            raise
        return channel

    async def _answer(self, call: Call, read: Callable[[Frame], T]) -> T:
        """Wait for the answer to what was put, and read it."""
        try:
            await call.end()
            return read(call.result())
        finally:
            call.leave()

    async def _wait_to_call(self, topic: str, deadline: float) -> Channel:
        while True:
            channel = await wait_connected(self._line, deadline, topic)
            if channel.has_room() and not self._calls.is_full:
                return channel
            with anyio.move_on_at(deadline) as scope:
                await channel.wait_room()
                await wait_place(self._calls)
            if scope.cancelled_caught:
                reason = f"not even sent: {len(self._calls)} calls are open already"
                raise DeadlineExceededError(reason, stage="connect", topic=topic)

    async def _wait_to_publish(self, topic: str, timeout: float | None) -> None:
        deadline = deadline_of(timeout)
        while True:
            await wait_connected(self._line, deadline, topic)
            if self._window.is_open:
                return
            with anyio.move_on_at(deadline) as scope:
                await self._window.wait_open()
            if scope.cancelled_caught:
                reason = "the subscribers do not keep up with what is published"
                raise DeadlineExceededError(reason, stage="connect", topic=topic)


def deadline_of(timeout: float | None) -> float:
    """When a timeout is over, on anyio's clock; infinity for never."""
    return math.inf if timeout is None else anyio.current_time() + timeout
