"""What a handler may know of the message it is given, and what nested calls inherit from it.

- A handler gets its ``Context`` by declaring a parameter annotated with it; any other code that runs on behalf
  of the message finds the same object with ``get_context()``.
- A context is read-only. One is made for each message, on the hot path, and few handlers look at theirs: so what a
  delivery tells is only asked when somebody wants to know.
- Headers may carry credentials, so ``repr()`` leaves them out.
- The message's deadline is no cancel scope, so a shield of anyio's own does not keep it off from nested calls:
  ``ctx.shielded()`` does, and says so in ``shielded_context``.
- ``current_context`` follows the rules of context variables: tasks and worker threads started by a handler see
  the handler's context, its caller never does.
"""

from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVarTuple, Unpack

import anyio
import anyio.from_thread

from cqrsbus.links.deliveries import AnyDelivery
from cqrsbus.links.port import Delivery
from cqrsbus.wire.envelope import NO_HEADERS

if TYPE_CHECKING:
    from cqrsbus.bus.handler_scope import HandlerScope

Ts = TypeVarTuple("Ts")


class Context:
    """One message, seen from the handler it was delivered to.

    Args:
        message_id: The id of this message.
        topic: The topic it was sent to, never a pattern.
        sender: The name of the service that sent it, as the broker stamped it.
        correlation_id: The id shared by all messages of one chain; by default this message starts a chain.
        causation_id: The id of the message whose handler sent this one.
        headers: The headers given by the sender.
        attempt: Which delivery of this message this is, from 1.
        deadline: When the work must be done, on the clock of ``anyio.current_time()`` (seconds).
        scope: What its handler runs in.
    """

    __slots__ = ("_deadline", "_delivery", "_scope", "_told")

    def __init__(
        self,
        message_id: str,
        topic: str,
        sender: str = "",
        correlation_id: str = "",
        causation_id: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        attempt: int = 1,
        deadline: float | None = None,
        scope: "HandlerScope | None" = None,
    ) -> None:
        self._told: _Told | None = _Told(
            message_id, topic, sender, correlation_id or message_id, causation_id, headers, attempt
        )
        self._delivery: Delivery | None = None
        self._deadline = deadline
        self._scope = scope

    @classmethod
    def current(cls) -> "Context":
        """Return the context of the message that is being handled here, however deep in the calls of its handler.

        Raises:
            RuntimeError: No message is; ``get_context()`` returns None instead.
        """
        context = current_context.get()
        if context is None:
            raise RuntimeError(
                "Context.current() is for handlers and what they call, and no message is being handled here: "
                "where that may be so, use get_context(), which returns None"
            )
        return context

    @property
    def message_id(self) -> str:
        """The id of this message."""
        return self._tell().message_id

    @property
    def topic(self) -> str:
        """The topic the message was sent to; for a handler of a pattern, the topic that matched."""
        return self._tell().topic

    @property
    def sender(self) -> str:
        """The name of the service that sent the message, as the broker stamped it."""
        return self._tell().sender

    @property
    def correlation_id(self) -> str:
        """The id shared by all messages of one chain: that of the message which started it."""
        return self._tell().correlation_id

    @property
    def causation_id(self) -> str | None:
        """The id of the message whose handler sent this one; None at the start of a chain."""
        return self._tell().causation_id

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers given by the sender; a view that cannot be written to."""
        return MappingProxyType(self._tell().headers)

    @property
    def attempt(self) -> int:
        """Which delivery of this message this is: 1 is the first, more are redeliveries."""
        return self._tell().attempt

    @property
    def deadline(self) -> float | None:
        """When the work must be done, on the clock of ``anyio.current_time()`` (seconds); None for no limit."""
        return self._deadline

    def remaining(self) -> float | None:
        """Return the seconds left until the deadline, at least 0.0; None when there is no deadline.

        Works in the event loop's thread and in the worker threads that sync handlers run in.

        Raises:
            anyio.NoEventLoopError: Called from a thread that belongs to no event loop.
        """
        if self._deadline is None:
            return None
        return max(0.0, self._deadline - _loop_time())

    def start_soon(
        self, function: Callable[[Unpack[Ts]], Awaitable[object]], *args: *Ts, name: str | None = None
    ) -> None:
        """Start a task that belongs to the handler: a child, which ends before the message is acknowledged or answered.

        A child that fails cancels the handler and the other children, and fails the message with its error. When the
        handler fails or is cancelled, its children are cancelled and awaited. Children may start children.

        Args:
            function: An async function.
            *args: What it is called with.
            name: What the task is called in a debugger; default: the function's name.

        Raises:
            RuntimeError: No handler is running for this message, or it has ended.
            TypeError: ``function`` is no function.
        """
        if self._scope is None:
            raise RuntimeError("ctx.start_soon() is for a running handler, and this context was given to none")
        self._scope.start_soon(self, function, args, name)

    @contextmanager
    def shielded(self, seconds: float) -> Generator[anyio.CancelScope]:
        """A block that must come to its end though the caller has left, or the message's time is over.

        It is for what gives back: ``with ctx.shielded(5): await bus.send(Release(...), wait=True)``. Neither a
        cancellation nor the message's deadline reaches into it, nor into the calls made there. The message is settled
        when it has ended.

        Args:
            seconds: How long the block may take.

        Raises:
            TimeoutError: The block took longer, and was cancelled.
        """
        with anyio.fail_after(seconds, shield=True) as scope:
            token = shielded_context.set(self)
            try:
                yield scope
            finally:
                shielded_context.reset(token)

    def __repr__(self) -> str:
        told = self._tell()
        return (
            f"Context(topic={told.topic!r}, message_id={told.message_id!r}, "
            f"sender={told.sender!r}, attempt={told.attempt})"
        )

    def _tell(self) -> "_Told":
        told = self._told
        if told is None:
            delivery = self._delivery
            # In this order, since a handler's threads may ask at the same time.
            told = self._told if delivery is None else _told_by(delivery)
            self._told, self._delivery = told, None
        assert told is not None
        return told


class DeliveredContext(Context):
    """A context that asks its delivery when it is asked."""

    __slots__ = ()

    def __init__(self, delivery: AnyDelivery, scope: "HandlerScope | None") -> None:
        self._told = None
        self._delivery = delivery
        self._deadline = delivery.deadline
        self._scope = scope


class _Told(NamedTuple):
    message_id: str
    topic: str
    sender: str
    correlation_id: str
    causation_id: str | None
    headers: Mapping[str, str]
    attempt: int


def _told_by(delivery: Delivery) -> _Told:
    message_id, correlation_id, causation_id, _, headers = delivery.envelope
    return _Told(
        message_id,
        delivery.topic,
        delivery.sender,
        correlation_id or message_id,
        causation_id or None,
        headers,
        delivery.attempt,
    )


#: The context of the message whose handler is running, where there is one.
current_context: Final[ContextVar[Context | None]] = ContextVar("cqrsbus.current_context", default=None)

#: The context in whose name a shielded block runs, if one does. It counts for that message alone: a task that was
#: started in the block for another message has inherited the variable, and must not take it for its own.
shielded_context: Final[ContextVar[Context | None]] = ContextVar("cqrsbus.shielded_context", default=None)


def deadline_here() -> float | None:
    """When the calls made here must be done for the sake of the message being handled; None for no limit."""
    context = current_context.get()
    return None if context is None or context is shielded_context.get() else context.deadline


def context_of(delivery: Delivery, scope: "HandlerScope | None" = None) -> Context:
    """Make the context of a delivered message; for the bus itself.

    Args:
        delivery: The message. Whether its envelope is intelligible is not looked at: its content type tells before.
        scope: What its handler is to run in.
    """
    return DeliveredContext(delivery, scope)


def scope_of(context: Context) -> "HandlerScope | None":
    """What the handler of this message runs in; for the bus itself."""
    return context._scope  # pyright: ignore[reportPrivateUsage]  # handlers have no use for it


def get_context() -> Context | None:
    """Return the context of the message that is being handled here; None outside of any handler."""
    return current_context.get()


def _loop_time() -> float:
    try:
        return anyio.current_time()
    except anyio.NoEventLoopError:
        # The clocks of the backends differ in their zero, so a worker thread must ask its own loop.
        return anyio.from_thread.run_sync(anyio.current_time)
