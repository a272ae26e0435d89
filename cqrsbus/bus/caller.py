"""Calling others: send, ask, publish, subscribe; stream and gather come from several_answers.py.

A call takes at most its ``timeout``, the time left of the caller's cancel scope, and the time left of the message
whose handler makes the call: whichever ends first. Here stands what each call is; placing.py makes it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, Unpack, overload

from cqrsbus.bus.composer import Composer, split
from cqrsbus.bus.handler import EVENT_PREFETCH, LEAST_PREFETCH
from cqrsbus.bus.middleware import begin
from cqrsbus.bus.options import AskOptions, PublishOptions, SendOptions, SubscribeOptions
from cqrsbus.bus.placing import give_up
from cqrsbus.bus.several_answers import SeveralAnswers
from cqrsbus.bus.subscription import Subscription
from cqrsbus.bus.time_left import DEFAULT_TIMEOUT, scope_before_error, time_left
from cqrsbus.bus.types import message_type
from cqrsbus.links.port import Sink, Subscribed, SubscriptionSpec
from cqrsbus.messages import Command, Event, Query
from cqrsbus.topics import validate_pattern

T = TypeVar("T")


class Caller(SeveralAnswers):
    """The calls of a bus.

    Args:
        composer: What makes their messages.
    """

    def __init__(self, composer: Composer) -> None:
        super().__init__(composer)
        self._listening: set[Subscription[Any]] = set()

    @overload
    async def send(self, command: Command, /, **options: Unpack[SendOptions]) -> None: ...

    @overload
    async def send(self, topic: str, message: object = ..., /, **options: Unpack[SendOptions]) -> None: ...

    async def send(
        self,
        target: object,
        message: object = ...,
        /,
        *,
        wait: bool = False,
        raises: Sequence[type[Exception]] = (),
        timeout: float | None = DEFAULT_TIMEOUT,
        headers: Mapping[str, str] | None = None,
        message_id: str | None = None,
    ) -> None:
        """Send a command to one instance of the service that owns its topic.

        It returns when the broker has confirmed it: at most once it is given to a connected handler.

        Args:
            target: The command, or its topic.
            message: The message, if a topic was given.
            wait: Return when it was handled, and raise here what the handler raised.
            raises: With ``wait``: the exceptions that are raised here as they are, beside those of the command's class.
            timeout: Seconds to wait; None for no limit.
            headers: The application's own pairs, for the handler's context.
            message_id: Its id; default: a new one.

        Raises:
            NoHandlerError: Nobody is connected who handles it.
            QueueFullError: Too many already wait for the handler.
            DeadlineExceededError: No handler was free in time; it will not be handled. With ``wait``: it was not
                handled in time, and may still be.
            DeliveryUnknownError: The connection was lost before the confirmation (with ``wait``, the answer), or the
                broker said nothing in time; it may or may not be handled.
            HandlerLostError: With ``wait``: the handler's process went away, or was stopped, before it had ended.
            RemoteError: With ``wait``: the handler failed. Or one of the declared exceptions.
            InvalidMessageError: It, or what is said of it, cannot be written. With ``wait``: the handler could not read
                it.
            InvalidTopicError: The topic is malformed, or there is none.
            TypeError: ``raises`` has what cannot be declared.
            PayloadTooLargeError: It does not fit into a frame.
            RuntimeError: The bus is not running.
        """
        calls = self._nowait or self._running("send")
        if self._around is not None:
            topic, content = split(target, message, "send")
            call = begin("send", topic, content, timeout, headers, message_id=message_id, wait=wait, raises=raises)
            await self._around(call)
            return
        # Not by keyword, which takes longer, nor with a coroutine more around it: this is the hot path.
        sending = calls.send(target, message, wait, raises, timeout, headers, message_id)
        try:
            sending.outcome(await sending.end())
        except BaseException as error:
            await give_up(sending, error)
            raise

    @overload
    async def ask(self, query: Query[T], /, **options: Unpack[AskOptions]) -> T: ...

    @overload
    async def ask(
        self, topic: str, message: object = ..., /, *, returns: type[T], **options: Unpack[AskOptions]
    ) -> T: ...

    @overload
    async def ask(self, topic: str, message: Query[T], /, **options: Unpack[AskOptions]) -> T: ...

    @overload
    async def ask(
        self, topic: str, message: object = ..., /, *, returns: object = ..., **options: Unpack[AskOptions]
    ) -> Any: ...

    async def ask(
        self,
        target: object,
        message: object = ...,
        /,
        *,
        returns: object = ...,
        raises: Sequence[type[Exception]] = (),
        timeout: float | None = DEFAULT_TIMEOUT,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Ask one instance that answers a query, and return its answer.

        Args:
            target: The query, or its topic.
            message: The message, if a topic was given.
            returns: The answer's type; default: the R of ``Query[R]``, else plain values.
            raises: The exceptions that are raised here as they are, beside those of the query's class.
            timeout: Seconds to wait; None for no limit.
            headers: The application's own pairs, for the handler's context.

        Raises:
            NoHandlerError: Nobody is connected who answers it.
            DeadlineExceededError: No answer in time; work that was not started never will be.
            RemoteError: The handler raised. Or one of the declared exceptions.
            TypeError: ``raises`` has what cannot be declared.
            InvalidMessageError: The handler could not read the query, or the answer is not what was expected.
            ConnectionLostError: The connection, or the handler's, was lost before the answer came.
            QueueFullError: Too many queries already wait for the handler.
            PayloadTooLargeError: The query does not fit into a frame.
        """
        calls = self._nowait or self._running("ask")
        if self._around is not None:
            topic, content = split(target, message, "ask")
            return await self._around(begin("ask", topic, content, timeout, headers, returns=returns, raises=raises))
        # As above.
        asking = calls.ask(target, message, returns, raises, timeout, headers, None)
        try:
            return asking.outcome(await asking.end())
        except BaseException as error:
            await give_up(asking, error)
            raise

    @overload
    async def publish(self, event: Event, /, **options: Unpack[PublishOptions]) -> None: ...

    @overload
    async def publish(self, topic: str, message: object = ..., /, **options: Unpack[PublishOptions]) -> None: ...

    async def publish(
        self,
        target: object,
        message: object = ...,
        /,
        *,
        timeout: float | None = DEFAULT_TIMEOUT,
        headers: Mapping[str, str] | None = None,
        message_id: str | None = None,
    ) -> None:
        """Publish an event to every subscription, and of each group to one instance.

        It returns when the event is in the bounded send buffer, and waits while that is full; delivery is at most once.

        Args:
            target: The event, or its topic.
            message: The message, if a topic was given.
            timeout: Seconds to wait for a connection and for room; None for no limit.
            headers: The application's own pairs, for the handlers' context.
            message_id: Its id; default: a new one.

        Raises:
            DeadlineExceededError: There was no connection, or no room, in time.
            InvalidMessageError: It, or what is said of it, cannot be written.
            InvalidTopicError: The topic is malformed, or there is none.
            PayloadTooLargeError: It does not fit into a frame.
            RuntimeError: The bus is not running.
        """
        calls = self._nowait or self._running("publish")
        if self._around is not None:
            topic, content = split(target, message, "publish")
            await self._around(begin("publish", topic, content, timeout, headers, message_id=message_id))
            return
        outgoing = calls.publish(target, message, headers, message_id)
        if outgoing is not None:
            await scope_before_error(calls.link.publish(outgoing, timeout=time_left(timeout)))

    @overload
    def subscribe(self, pattern: str, into: type[T], **options: Unpack[SubscribeOptions]) -> Subscription[T]: ...

    @overload
    def subscribe(self, pattern: str, into: object = ..., **options: Unpack[SubscribeOptions]) -> Subscription[Any]: ...

    def subscribe(
        self, pattern: str, into: object = Any, *, group: str = "", timeout: float | None = DEFAULT_TIMEOUT
    ) -> Subscription[Any]:
        """Listen to events from now on: ``async with bus.subscribe("event.>", Stored) as messages``.

        Each event comes at most once: see :class:`Subscription`.

        Args:
            pattern: A topic or pattern.
            into: What the events are read as; default: plain values.
            group: Of all subscriptions with this pattern and group, one gets each event; empty: every one does.
            timeout: Seconds that the broker may take to confirm it.

        Raises:
            InvalidTopicError: The pattern is malformed.
            InvalidMessageError: The type cannot be carried.
        """
        validate_pattern(pattern)

        async def start(sink: Sink) -> Subscribed:
            credit = LEAST_PREFETCH if group else EVENT_PREFETCH
            spec = SubscriptionSpec(kind="event", pattern=pattern, group=group, credit_messages=credit)
            link = self._running("subscribe").link
            subscribed = await scope_before_error(link.subscribe(spec, sink, timeout=time_left(timeout)))
            return _Listening(subscribed, subscription, self._listening)

        subscription: Subscription[Any] = Subscription(pattern, message_type(into), start)
        return subscription


class _Listening:
    """A subscription that is to be told when the bus is closed."""

    def __init__(
        self, subscribed: Subscribed, subscription: Subscription[Any], listening: set[Subscription[Any]]
    ) -> None:
        self._subscribed = subscribed
        self._subscription = subscription
        self._listening = listening
        listening.add(subscription)

    async def unsubscribe(self) -> None:
        self._listening.discard(self._subscription)
        await self._subscribed.unsubscribe()
