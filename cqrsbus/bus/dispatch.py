"""From a delivery to a handler's answer: decode, call, settle.

The rules:

1. The handler runs with its message's context as the current one, so that what it sends continues the chain.
2. A sync handler runs in a worker thread, at most ``concurrency`` of them at a time.
3. What a handler raises is logged here, with its traceback, and told to the caller (see failing.py). A message that
   does not fit the declared type is answered with what does not fit; the handler never sees it. That the time of the
   message ran out, in a call that the handler made, is the same error as its caller has, and no failure of the handler.
4. Several event handlers with one pattern and one group share a subscription: each runs, one after the other, and
   the failure of one does not keep the next from running. Their order is by the key of what the first reads.
5. Of messages that came together a few are read at a time, where nobody can tell (see waiting.py).
6. Where messages are in order by a key, each is read when it comes, and the handler gets what was read then. One that
   has no key fails as if its handler had raised.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

from cqrsbus.bus.answering import give_answer, give_each, give_one, refuse_single
from cqrsbus.bus.codec import Codec
from cqrsbus.bus.context import Context, context_of, current_context
from cqrsbus.bus.depends import DependencyOverrides
from cqrsbus.bus.failing import FailureReport, ran_out_of_time
from cqrsbus.bus.handler import Handler, HandlerKind
from cqrsbus.bus.handler_scope import HandlerScope
from cqrsbus.bus.invocation import HandlerCall
from cqrsbus.bus.one_answer import answer_nowait
from cqrsbus.bus.ordering import key_function
from cqrsbus.bus.turn import Turn
from cqrsbus.bus.types import MessageType
from cqrsbus.bus.waiting import ArrivalOrder, KeyOrder, Reading
from cqrsbus.errors import InvalidMessageError, ProtocolError
from cqrsbus.links.port import Delivery, SubscriptionSpec

log = logging.getLogger(__name__)

#: Is told of a handler that failed: which, with what, and on which message (empty if its id cannot be read).
OnFailure: TypeAlias = Callable[[Handler, Exception, str], None]

#: Settles a message and opens the next one; None: there is none now.
OpenNext: TypeAlias = Callable[[HandlerScope, MessageType[Any]], tuple[Delivery, Context, Any] | None]


class Binding:
    """One subscription and the handlers behind it.

    Args:
        handlers: One handler, or several event handlers with the same pattern and group.
        codec: What answers are written with.
        on_failure: Is told of every failure, beside the log and the caller.
        tracebacks: Whether callers are sent the traceback of a failure.
        overrides: What takes the place of the handlers' dependencies.

    Raises:
        InvalidMessageError: The declared type of a message or an answer cannot be carried.
    """

    def __init__(
        self,
        handlers: Sequence[Handler],
        codec: Codec,
        on_failure: OnFailure | None = None,
        *,
        tracebacks: bool = False,
        overrides: DependencyOverrides | None = None,
    ) -> None:
        self.handlers = tuple(handlers)
        self._first = handlers[0]
        self._report = FailureReport(self._first, codec, tracebacks=tracebacks)
        last = handlers[-1]
        self._calls = [HandlerCall(handler, is_last=handler is last, overrides=overrides) for handler in handlers]
        #: The usual case: one handler, which returns.
        self._single = self._calls[0] if len(self._calls) == 1 and not self._first.is_stream else None
        self._answers = self._first.kind is HandlerKind.QUERY
        self._codec = codec
        self._on_failure = on_failure
        self.concurrency = max(handler.concurrency for handler in handlers)
        self._prefetch = max(self.concurrency, min(handler.in_hand for handler in handlers))
        self.cancellable = self._first.on_cancel == "cancel"
        ordered_by = self._first.ordered_by
        self._key_of = None if ordered_by is None else key_function(self._first, ordered_by)

    @property
    def spec(self) -> SubscriptionSpec:
        """What to listen to."""
        return SubscriptionSpec(
            kind=self._first.kind.value,
            pattern=self._first.topic,
            group=self._first.group or "",
            credit_messages=self._prefetch,
        )

    @property
    def waiting(self) -> ArrivalOrder | KeyOrder:
        """A place for its deliveries to wait in."""
        # One at a time is in order anyhow.
        if self._key_of is not None and self.concurrency > 1:
            return KeyOrder(self.read)
        return ArrivalOrder(None if self._single is None else self._single.message_type)

    def read(self, delivery: Delivery) -> Reading:
        """Read a delivery before its turn comes, for its key; what is wrong with it is told when its turn comes."""
        try:
            message = self._calls[0].decode(delivery.content_type, delivery.body)
        except InvalidMessageError as error:
            return Reading(object(), unreadable=error)
        except ProtocolError:
            return Reading(object())
        try:
            return Reading(None if self._key_of is None else self._key_of(message), message)
        except Exception as error:  # noqa: BLE001  # the function is the application's
            return Reading(object(), message, keyless=error)

    async def work(
        self,
        delivery: Delivery,
        scope: HandlerScope | None = None,
        reading: Reading | None = None,
        turn: Turn | None = None,
    ) -> None:
        """Handle a delivery and settle it, and whatever it is given more; raises nothing but cancellation.

        Args:
            delivery: The message.
            scope: What the handlers run in; without one they can start nothing.
            reading: What the first handler has read it as, if it has.
            turn: Took it, and gives the next one. It is asked as long as nothing but its handler has to do with a
                message.
        """
        call = self._single
        if call is None or scope is None or turn is None:
            await self._work_each(delivery, scope, reading)
            return
        # One coroutine for many messages, and none but it and the handler's own: more would cost every message. What is
        # the same for all of them is looked up once.
        begin, begin_alone, into, answers = call.begin, call.begin_alone, call.message_type, self._answers
        open_another = turn.open_next
        open_next: OpenNext = turn.open
        answer: object = None
        raised: BaseException | None = None
        token = current_context.set(None)
        try:
            while True:
                try:
                    opened = open_next(scope, into)
                except (ProtocolError, InvalidMessageError) as error:
                    await self._work_each(turn.current or delivery, scope, _unreadable(error))
                    return
                if opened is None:
                    return
                delivery, context, message = opened
                # It takes the place of the one before; what was before them all comes back at the end.
                scope.context = context
                open_next = open_another
                try:
                    try:
                        answer = await (begin(message, context) if begin_alone is None else begin_alone(message))
                    except BaseException as error:  # noqa: BLE001  # it is raised again right below
                        raised = error
                    if raised is not None or scope.children is not None:
                        # It may be cancelled by what it was cancelled with.
                        open_next = _nothing
                        await scope.join(raised)
                    if answers and not answer_nowait(delivery, self._codec, answer):
                        scope.context = None
                        await give_one(delivery, self._codec, answer)
                except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001  # see _fail
                    self._fail(call.handler, delivery, error, context)
                if open_next is _nothing:
                    delivery.done()
        finally:
            scope.context = scope.children = raised = None
            current_context.reset(token)

    async def _work_each(self, delivery: Delivery, scope: HandlerScope | None, reading: Reading | None) -> None:
        """What :meth:`work` does, where there is more to do than to call one handler."""
        try:
            content_type = delivery.content_type
        except ProtocolError as error:
            self._fail_unreadable(self._first, delivery, InvalidMessageError(error.reason), "")
            delivery.done()
            return
        context = context_of(delivery, scope)
        token = current_context.set(context)
        try:
            if reading is not None and reading.keyless is not None:
                self._fail_raised(self._first, delivery, reading.keyless, context)
            else:
                for call in self._calls:
                    await self._run(call, delivery, content_type, context, reading)
                    # The next one may read it as something else.
                    reading = None
            delivery.done()
        finally:
            current_context.reset(token)

    async def _run(
        self, call: HandlerCall, delivery: Delivery, content_type: str, context: Context, reading: Reading | None
    ) -> None:
        if self._first.is_stream and not delivery.wants_stream:
            refuse_single(delivery, self._first)
            return
        try:
            message = call.decode(content_type, delivery.body) if reading is None else reading.opened()
        except InvalidMessageError as error:
            self._fail_unreadable(call.handler, delivery, error, context.message_id)
            return
        try:
            if self._first.is_stream:
                await call.run(message, context, consume=partial(give_each, delivery, self._codec))
            else:
                answer = await call.run(message, context)
                if self._answers:
                    await give_answer(delivery, self._codec, answer)
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001  # see _fail
            self._fail(call.handler, delivery, error, context)

    def _fail(
        self,
        handler: Handler,
        delivery: Delivery,
        error: Exception | BaseExceptionGroup[BaseException],
        context: Context,
    ) -> None:
        """Whatever a handler raises is its message's failure, never ours."""
        if isinstance(error, Exception):
            self._fail_raised(handler, delivery, error, context)
        else:
            self._fail_cancelled(handler, delivery, error, context)

    def _fail_cancelled(
        self, handler: Handler, delivery: Delivery, group: BaseExceptionGroup[BaseException], context: Context
    ) -> None:
        """Cancelled, and failed while it was cleaning up: one is for the worker's scope, the other is the message's."""
        failed, others = group.split(Exception)
        if failed is not None:
            self._fail_raised(handler, delivery, failed, context)
        if others is not None:
            raise others from None

    def _fail_raised(self, handler: Handler, delivery: Delivery, error: Exception, context: Context) -> None:
        ran_out = ran_out_of_time(error, context)
        # One that was declared is an answer, and no trouble here.
        level = logging.INFO if ran_out or self._report.is_answer(delivery, error) else logging.ERROR
        what = "%s failed on message %s (correlation id %s)"
        log.log(level, what, handler, context.message_id, context.correlation_id, exc_info=error)
        if self._on_failure is not None and not ran_out:
            self._on_failure(handler, error, context.message_id)
        if self._first.kind is not HandlerKind.EVENT:
            self._report.raised(delivery, error, context)

    def _fail_unreadable(
        self, handler: Handler, delivery: Delivery, error: InvalidMessageError, message_id: str
    ) -> None:
        # A cause is a validator's own failure, which its author wants to find.
        log.error(
            "a message for %s from %r is invalid: %s",
            handler,
            delivery.sender,
            error.reason,
            exc_info=error.__cause__,
        )
        if self._on_failure is not None:
            self._on_failure(handler, error, message_id)
        if self._first.kind is not HandlerKind.EVENT:
            self._report.unreadable(delivery, error)


def _nothing(scope: HandlerScope, into: MessageType[Any]) -> None:
    """Opens no other one."""


def _unreadable(error: ProtocolError | InvalidMessageError) -> Reading | None:
    """What a message was read as that cannot be read; None if it is not even known what it is."""
    return Reading(None, unreadable=error) if isinstance(error, InvalidMessageError) else None


def bind(
    handlers: Sequence[Handler],
    codec: Codec,
    on_failure: OnFailure | None = None,
    *,
    tracebacks: bool = False,
    overrides: DependencyOverrides | None = None,
) -> list[Binding]:
    """Join the event handlers that share a pattern and a group; every other handler is bound by itself."""
    joined: dict[object, list[Handler]] = {}
    for handler in handlers:
        shares = handler.kind is HandlerKind.EVENT and handler.group is not None
        key = (handler.topic, handler.group) if shares else id(handler)
        joined.setdefault(key, []).append(handler)
    return [Binding(same, codec, on_failure, tracebacks=tracebacks, overrides=overrides) for same in joined.values()]
