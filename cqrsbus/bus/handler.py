"""What is known of one handler once it has been declared."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from cqrsbus.bus.context import Context
from cqrsbus.messages import Command, Event, Query

if TYPE_CHECKING:
    from cqrsbus.bus.dependency_graph import Node
    from cqrsbus.bus.middleware import HandlingMiddleware

OnCancel: TypeAlias = Literal["finish", "cancel"]
#: What tells which messages must stay in order: a field's name, or a function of the message.
OrderedBy: TypeAlias = str | Callable[[Any], Hashable]
#: Messages in hand, unless a handler says otherwise, so that the next one is there when a worker is free.
LEAST_PREFETCH: Final = 64
#: The same of events that each subscriber hears: nobody else could take what is in hand, and many at a time cost less.
EVENT_PREFETCH: Final = 1024


class HandlerKind(Enum):
    """Which of the three verbs a handler answers."""

    COMMAND = "command"
    QUERY = "query"
    EVENT = "event"

    @property
    def message_class(self) -> type[Command | Query[object] | Event]:
        """The base class of this kind's messages."""
        return _MESSAGE_CLASS[self]


_MESSAGE_CLASS: dict[HandlerKind, type[Command | Query[object] | Event]] = {
    HandlerKind.COMMAND: Command,
    HandlerKind.QUERY: Query,
    HandlerKind.EVENT: Event,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """One function bound to one topic.

    Args:
        kind: Which verb it answers.
        topic: The topic; for an event handler perhaps a pattern.
        function: The very object that was decorated.
        name: ``module.qualname`` of the function.
        location: ``file:line`` of its ``def``.
        message_annotation: The declared type of the message, ``Annotated`` and all.
        message_parameter: The name of the parameter that takes the message.
        context_parameter: The name of the parameter that takes the Context, if there is one.
        returns: The declared type of the answer (for a stream: of each item); None when nothing is declared,
            ``NoneType`` when None is.
        call: ``call(message, context)`` calls the function with the arguments it declared.
        is_async: Calling it gives an awaitable; a sync function runs in a worker thread.
        is_stream: It is an async generator function.
        group: Of all event handlers with the same topic and group, one gets each event; None for each one its own.
        concurrency: How many messages may be handled at the same time.
        prefetch: How many messages to have in hand at most; None for :data:`LEAST_PREFETCH`, or :data:`EVENT_PREFETCH`,
            or the concurrency if that is more.
        ordered_by: With concurrency, messages of one key are handled one at a time, in order; None for no order.
        on_cancel: What becomes of running work when the caller goes away.
        raises: The exceptions that the caller gets as they are; any other as a RemoteError.
        dependencies: What it depends on; None if nothing is to be made for it.
        middleware: What is around its calls; the first is the outermost.
    """

    kind: HandlerKind
    topic: str
    function: Callable[..., object]
    name: str
    location: str
    message_annotation: object = field(compare=False)
    message_parameter: str
    context_parameter: str | None = None
    returns: object = field(default=None, compare=False)
    call: Callable[[object, Context], object] = field(compare=False, repr=False)
    is_async: bool
    is_stream: bool = False
    group: str | None = None
    concurrency: int = 1
    prefetch: int | None = None
    ordered_by: OrderedBy | None = None
    on_cancel: OnCancel = "finish"
    raises: tuple[type[Exception], ...] = ()
    dependencies: "Node | None" = field(default=None, compare=False, repr=False)
    middleware: "tuple[HandlingMiddleware, ...]" = field(default=(), compare=False, repr=False)

    @property
    def in_hand(self) -> int:
        """How many messages to have in hand at most."""
        if self.prefetch is not None:
            return self.prefetch
        is_shared = self.kind is not HandlerKind.EVENT or self.group is not None
        return max(LEAST_PREFETCH if is_shared else EVENT_PREFETCH, self.concurrency)

    def __str__(self) -> str:
        return f"{self.name} ({self.location})"
