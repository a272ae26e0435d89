"""Declaring handlers: the three decorators, and groups of handlers that are put together.

- A decorated function stays the very function it was; the group only takes note of it. It may be decorated
  several times, for several topics.
- What a handler's topic is: see handler_topic.py.
- Event handlers with one topic and one group share their events, and so the order of them.
- One command handler and one query handler per topic; of event handlers any number, all of which run. The same
  function for the same events twice is refused: it would do everything twice.
- ``include`` copies the handlers of a group, each with the prefix before its topic, also before one that came
  from a class; a prefixed handler is reached by topic. All are taken or, if one does not fit, none.
- A group that has been included is closed: a handler declared later would be heard in some places and not in
  others, so declaring it is an error.
- A group's middleware is around the handlers that it has when it is included, before and after it was declared
  alike; that of the group or bus which includes it is around the whole.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Required, TypedDict, TypeVar, Unpack, get_args

from cqrsbus.bus.callables import place
from cqrsbus.bus.declared_errors import handler_raises
from cqrsbus.bus.handler import Handler, HandlerKind, OnCancel, OrderedBy
from cqrsbus.bus.handler_topic import chosen_topic, prefixed, refuse_bare
from cqrsbus.bus.handler_types import TakesMessageReturnsAnswer, TakesMessageReturnsNone
from cqrsbus.bus.middleware import HandlingMiddleware, check_middleware
from cqrsbus.bus.ordering import check_ordered_by
from cqrsbus.errors import TopologyError
from cqrsbus.wire.frames import MAX_U16

__all__ = ["DEFAULT_QUERY_CONCURRENCY", "Handler", "HandlerGroup", "HandlerKind", "OnCancel"]

DEFAULT_QUERY_CONCURRENCY: Final = 64

_GROUP_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,255}")

F = TypeVar("F", bound=Callable[..., object])
M = TypeVar("M", bound=HandlingMiddleware)


class _Options(TypedDict, total=False):
    """What the decorators say of how a handler works; see Handler."""

    concurrency: Required[int]
    prefetch: Required[int | None]
    group: str | None
    ordered_by: OrderedBy | None
    on_cancel: OnCancel


class HandlerGroup:
    """Handlers that belong together, in the order they were declared; a Bus is one, and includes others."""

    def __init__(self) -> None:
        self._handlers: list[Handler] = []
        self._owners: dict[tuple[HandlerKind, str], Handler] = {}
        self._included: set[tuple[HandlerGroup, str]] = set()
        self._handling_middleware: list[HandlingMiddleware] = []
        self._closed = False

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """The handlers declared and included so far."""
        return tuple(self._handlers)

    def command_handler(
        self,
        topic: str | None = None,
        *,
        concurrency: int = 1,
        prefetch: int | None = None,
        ordered_by: OrderedBy | None = None,
        on_cancel: OnCancel = "finish",
        raises: Sequence[type[Exception]] = (),
    ) -> Callable[[TakesMessageReturnsNone], TakesMessageReturnsNone]:
        """Declare the function below to be the one handler of a command.

        Args:
            topic: The command's topic; None for that of the message's class.
            concurrency: How many commands may be handled at the same time.
            prefetch: How many commands this process has in hand at most, waiting or worked on; default: 64, or
                ``concurrency`` if that is more.
            ordered_by: A field's name, or a function of the message: commands of one key stay in order.
            on_cancel: Whether accepted work is finished (``"finish"``) or cancelled (``"cancel"``) when the caller goes
                away.
            raises: Exceptions that a caller who waits gets as they are, with their fields; beside those of the
                command's class.

        Raises:
            TypeError: The function cannot be a handler as it is written.
            ValueError: ``concurrency``, ``prefetch`` or ``on_cancel`` is none that there can be.
            TopologyError: It does not fit the topic or the message, or the topic has a handler already.
        """
        if on_cancel not in get_args(OnCancel):
            raise ValueError(f"on_cancel is 'finish' or 'cancel', not {on_cancel!r}")
        return self._declare(
            HandlerKind.COMMAND,
            topic,
            concurrency=concurrency,
            prefetch=prefetch,
            ordered_by=ordered_by,
            on_cancel=on_cancel,
            raises=raises,
        )

    def query_handler(
        self,
        topic: str | None = None,
        *,
        concurrency: int = DEFAULT_QUERY_CONCURRENCY,
        prefetch: int | None = None,
        raises: Sequence[type[Exception]] = (),
    ) -> Callable[[TakesMessageReturnsAnswer], TakesMessageReturnsAnswer]:
        """Declare the function below to be the one handler of a query; an async generator answers with a stream.

        Args:
            topic: The query's topic; None for that of the message's class.
            concurrency: How many queries may be answered at the same time.
            prefetch: How many queries this process has in hand at most, waiting or worked on; default: 64, or
                ``concurrency`` if that is more.
            raises: Exceptions that the caller gets as they are, with their fields; beside those of the query's class.

        Raises:
            TypeError: The function cannot be a handler as it is written.
            ValueError: ``concurrency`` or ``prefetch`` is none that there can be.
            TopologyError: It does not fit the topic or the message, or the topic has a handler already.
        """
        return self._declare(
            HandlerKind.QUERY, topic, concurrency=concurrency, prefetch=prefetch, on_cancel="cancel", raises=raises
        )

    def event_handler(
        self,
        topic: str | None = None,
        *,
        group: str | None = None,
        concurrency: int = 1,
        prefetch: int | None = None,
        ordered_by: OrderedBy | None = None,
    ) -> Callable[[TakesMessageReturnsNone], TakesMessageReturnsNone]:
        """Declare the function below to be a handler of events.

        It gets each event at most once: what is published while it is not connected it has missed, and so has one that
        stands still for too long (``stall_timeout`` of the broker) while publishers are held back for it.

        Args:
            topic: The events' topic, or a pattern; None for the topic of the message's class.
            group: Of all handlers with this topic or pattern and this group, in all instances and services, one gets
                each event; None: every one does.
            concurrency: How many events may be handled at the same time; with more than 1 their order is not kept,
                but for ``ordered_by``.
            prefetch: How many events this process has in hand at most, waiting or worked on; default: 64, without a
                group 1024, or ``concurrency`` if that is more.
            ordered_by: A field's name, or a function of the message: events of one key stay in order.

        Raises:
            TypeError: The function cannot be a handler as it is written.
            ValueError: The group's name is malformed, or ``concurrency`` or ``prefetch`` is none that there can be.
            TopologyError: It does not fit the topic or the message.
        """
        if group is not None and not _GROUP_NAME.fullmatch(group):
            raise ValueError(f"the group {group!r} is not 1 to 255 letters, digits, '_', '-' and '.'")
        return self._declare(
            HandlerKind.EVENT, topic, concurrency=concurrency, prefetch=prefetch, ordered_by=ordered_by, group=group
        )

    def handling_middleware(self, middleware: M) -> M:
        """Put a middleware around the handling of every message by these handlers; usable as a decorator.

        It runs with the message's context, sees the decoded message and the answer, and may change, replace or refuse
        both. The first declared is the outermost.

        Args:
            middleware: ``async def middleware(handling, call_next)``.

        Raises:
            TypeError: It cannot be a middleware as it is written.
            RuntimeError: The group was included already, or the bus is running.
        """
        check_middleware(middleware)
        if self._closed:
            raise RuntimeError(
                f"the middleware {place(middleware)} came to a group that had been included already: "
                f"declare it before the group is included"
            )
        self._handling_middleware.append(middleware)
        return middleware

    def include(self, group: "HandlerGroup", *, prefix: str = "") -> None:
        """Take in all handlers of another group, and close that group.

        Args:
            group: The other group.
            prefix: Put before every topic: ``"event."`` makes ``email.new`` into ``event.email.new``.

        Raises:
            TopologyError: One of the handlers does not fit, or the group was included with this prefix before.
        """
        if group is self:
            raise TopologyError("a group cannot include itself")
        key = (group, prefix.removesuffix("."))
        if key in self._included:
            raise TopologyError(f"the group was included with the prefix {prefix!r} before: include it once")
        handlers = [prefixed(handler, prefix) for handler in group._surrounded()]
        for handler in handlers:
            self._check(handler)
        for handler in handlers:
            self._register(handler)
        self._included.add(key)
        group._closed = True

    def _surrounded(self) -> list[Handler]:
        """The handlers, each with this group's middleware around it."""
        outer = tuple(self._handling_middleware)
        return [replace(handler, middleware=outer + handler.middleware) for handler in self._handlers]

    def _declare(
        self,
        kind: HandlerKind,
        topic: str | None,
        *,
        raises: Sequence[type[Exception]] = (),
        **options: Unpack[_Options],
    ) -> Callable[[F], F]:
        refuse_bare(kind, topic)
        _check_count("concurrency", options["concurrency"])
        _check_prefetch(options["prefetch"], options["concurrency"])

        def declare(function: F) -> F:
            from cqrsbus.bus.handling import analyse

            signature = analyse(function, kind)
            handler = Handler(
                kind=kind,
                topic=chosen_topic(kind, topic, signature.message_annotation, place(function)),
                function=function,
                name=signature.name,
                location=signature.location,
                message_annotation=signature.message_annotation,
                message_parameter=signature.message_parameter,
                context_parameter=signature.context_parameter,
                returns=signature.returns,
                dependencies=signature.dependencies,
                call=signature.call,
                is_async=signature.is_async,
                is_stream=signature.is_stream,
                raises=handler_raises(place(function), signature.message_annotation, raises),
                **options,
            )
            check_ordered_by(handler)
            self._check(handler)
            self._register(handler)
            return function

        return declare

    def _check(self, handler: Handler) -> None:
        """Raise TopologyError if the handler does not fit the ones that are here."""
        if self._closed:
            raise TopologyError(
                f"{handler} came to a group that had been included already: "
                f"declare or include it before the group is included",
                topic=handler.topic,
            )
        owner = self._owners.get((handler.kind, handler.topic))
        if owner is not None:
            raise TopologyError(
                f"{handler} is a second {handler.kind.value} handler beside {owner}: remove one, or give it a topic "
                f"of its own",
                topic=handler.topic,
            )
        if handler.kind is HandlerKind.EVENT:
            for other in self._handlers:
                _check_beside(handler, other)

    def _register(self, handler: Handler) -> None:
        """Keep a handler that has been checked; a derived class may refuse it by raising."""
        self._handlers.append(handler)
        if handler.kind is not HandlerKind.EVENT:
            self._owners[handler.kind, handler.topic] = handler


def _check_beside(handler: Handler, other: Handler) -> None:
    """Raise TopologyError if two event handlers cannot hear the same events."""
    if (handler.kind, handler.topic, handler.group) != (other.kind, other.topic, other.group):
        return
    if handler.function == other.function:
        raise TopologyError(f"{handler} hears these events twice: declare it once", topic=handler.topic)
    if handler.group is not None and handler.ordered_by != other.ordered_by:
        raise TopologyError(
            f"{handler} shares the events of the group {handler.group!r} with {other}, and they can be in one order "
            f"only: give both the same ordered_by, or one another group",
            topic=handler.topic,
        )


def _check_count(name: str, count: object) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(f"{name} is a whole number from 1, not {count!r}")


def _check_prefetch(prefetch: int | None, concurrency: int) -> None:
    if prefetch is None:
        return
    _check_count("prefetch", prefetch)
    if not concurrency <= prefetch <= MAX_U16:
        raise ValueError(f"prefetch is {prefetch}; it is from {concurrency}, the concurrency, to {MAX_U16}")
