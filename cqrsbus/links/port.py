"""What a bus asks of a link, and what a link hands to a bus.

The rules, the same for every link:

1. :meth:`Link.run` keeps the link connected until it is cancelled, comes back by itself after a loss, and
   restores every subscription before it calls itself connected again.
2. A call made while there is no connection waits for one, up to the call's own deadline.
3. A call in flight when the connection is lost ends at once: an ask, a stream or a gather with
   ``ConnectionLostError``, a send with ``DeliveryUnknownError``. Nothing is resent behind the caller's back.
4. Deliveries come in order per subscription, to a sink that must not block. Each is settled exactly once, by one
   of its methods; settling one of a lost connection does nothing.
5. When :meth:`Link.subscribe` returns, the broker has confirmed it; when :meth:`Subscribed.unsubscribe` returns,
   nothing more is delivered.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from anyio.abc import TaskStatus

from cqrsbus.errors import Code
from cqrsbus.links.answer import Answer
from cqrsbus.links.outgoing import Outgoing
from cqrsbus.wire.envelope import Envelope

if TYPE_CHECKING:
    from cqrsbus.links.publisher import Publisher


class LinkStatus(StrEnum):
    """How a link is doing."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    CLOSED = "closed"


class Instance(NamedTuple):
    """One instance of a service, as the broker knows it."""

    service: str
    name: str


class Reply(NamedTuple):
    """One of several answers.

    Args:
        content_type: What the body is.
        body: The encoded answer.
        instance: Who answered; its name is told only where every instance is asked.
        error: Why this instance did not answer.
    """

    content_type: str
    body: bytes
    instance: Instance
    error: Exception | None = None


class Replies(Protocol):
    """The answers to one request that has several. It must be left."""

    @property
    def asked(self) -> Sequence[Instance]:
        """Who was asked, where every instance is: complete when the first answer has come."""
        ...

    async def next(self) -> Reply | None:
        """Wait for the next answer; None when there is no more.

        Raises:
            BusError: There will be no more, and why.
        """
        ...

    def leave(self) -> None:
        """Want no more: who still works on it is stopped. May be called again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTerms:
    """What is granted to a stream of answers.

    Args:
        timeout: Seconds until the first answer, or the end, comes; None for no limit.
        lasts: Seconds that all of it may take; None for no limit.
        items: Answers that may be under way at most.
        size: Bytes that may be under way; the last answer may exceed it.
    """

    timeout: float | None
    lasts: float | None
    items: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionSpec:
    """What to listen to.

    Args:
        kind: ``command``, ``query`` or ``event``.
        pattern: The topic, or for events a pattern.
        group: Whose members share the events; empty for none.
        credit_messages: Messages to have in hand at most; 0 leaves it to the broker.
        contract: What to say of it to those who ask, in a form that only buses know; empty for nothing.
    """

    kind: str
    pattern: str
    group: str = ""
    credit_messages: int = 0
    contract: bytes = b""


class Described(NamedTuple):
    """What a subscription says of itself.

    Args:
        instance: Whose it is; of several instances that say the same, one.
        contract: What it says; empty for nothing.
    """

    instance: Instance
    contract: bytes


class Delivery(Protocol):
    """A message that was handed to this process."""

    @property
    def topic(self) -> str: ...

    @property
    def envelope(self) -> Envelope:
        """What the message says of itself.

        Raises:
            ProtocolError: It says nothing intelligible.
        """
        ...

    @property
    def content_type(self) -> str:
        """What the body is, which the envelope says.

        Raises:
            ProtocolError: It says nothing intelligible.
        """
        ...

    @property
    def body(self) -> bytes: ...

    @property
    def sender(self) -> str:
        """The service that sent it, as the broker knows it."""
        ...

    @property
    def attempt(self) -> int:
        """Counts the times it was started, from 1."""
        ...

    @property
    def deadline(self) -> float | None:
        """When nobody waits for it any more, on anyio's clock."""
        ...

    @property
    def cancelled(self) -> bool:
        """Whether its caller has left."""
        ...

    on_cancel: Callable[[], None] | None
    """Called, once at most, when its caller leaves; whoever works on it sets this."""

    def done(self) -> None:
        """It was handled, or will never be: a command's caller may go on."""
        ...

    @property
    def wants_answer(self) -> bool:
        """Whether its caller waits for what becomes of it: of a query, and of a command sent with ``wait``."""
        ...

    @property
    def wants_stream(self) -> bool:
        """Whether its caller wants a stream of answers."""
        ...

    def reply(self, content_type: str, body: bytes) -> None:
        """It was handled, and this is the answer."""
        ...

    def reply_more(self, content_type: str, body: bytes) -> Awaitable[None]:
        """Here is one answer of a stream, which ``done`` or ``fail`` ends; waits until its caller wants it.

        Raises:
            PayloadTooLargeError: It does not fit into a frame.
        """
        ...

    def fail(self, code: Code, fields: Mapping[str, Any], body: bytes = b"") -> None:
        """It could not be handled: tell the caller, if there is one.

        Args:
            code: Why.
            fields: What else is said of it, for the header.
            body: The fields of the handler's error, of the content type ``ct``; left out if they do not fit.
        """
        ...

    def hand_back(self) -> None:
        """It was not started: give it to somebody else."""
        ...


class Deliveries(Protocol):
    """Deliveries that came in one frame, in their order: they have all but their ids and bodies in common.

    Each is to be taken once: it may be made only then.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, places: slice, /) -> Sequence[Delivery]: ...

    def __iter__(self) -> Iterator[Delivery]: ...


#: Takes deliveries.
Sink = Callable[[Deliveries], None]


class Subscribed(Protocol):
    """A subscription that the broker has confirmed."""

    async def unsubscribe(self) -> None:
        """Stop it; when this returns nothing more is delivered."""
        ...


class Opened(Protocol):
    """A query or a command that was sent. It must be left."""

    def end(self) -> Awaitable[None]:
        """What one task is to await at once, and once, before it looks at what it ended with."""
        ...

    def result(self) -> object:
        """Raises what it failed with, if it failed."""
        ...

    def said(self) -> Answer:
        """The answer to a query; raises what it failed with."""
        ...

    def leave(self) -> None:
        """Whoever sent it has what it ended with, or goes without: then nobody need tell it any more."""
        ...


class Link(Protocol):
    """A way to a broker."""

    @property
    def status(self) -> LinkStatus: ...

    @property
    def last_error(self) -> str:
        """Why it is not connected; empty if it is, or has not tried yet."""
        ...

    async def run(self, handlers: Sequence[tuple[SubscriptionSpec, Sink]], *, task_status: TaskStatus[None]) -> None:
        """Connect, subscribe the handlers, say ``started``, and stay connected until cancelled.

        Raises:
            ConnectError: What answers is no broker, or does not want us; trying again would not help.
            TopologyError: The broker refused a handler.
        """
        ...

    async def wait_connected(self) -> None:
        """Wait until connected with every subscription in place.

        Raises:
            ConnectionLostError: The link is closed and will not be connected again.
        """
        ...

    # These say only what their callers see: to await one more coroutine would cost every call.

    def send(self, message: Outgoing, *, timeout: float | None, wait: bool) -> Awaitable[None]:
        """Send a command; await at once until the broker confirmed it or, with ``wait``, until it was handled."""
        ...

    def send_nowait(self, message: Outgoing, timeout: float | None, wait: bool, /) -> Opened | None:
        """Send a command if nothing has to be waited for before; else None: see :meth:`send`."""
        ...

    def ask_nowait(self, message: Outgoing, timeout: float | None, /) -> Opened | None:
        """Ask a query if nothing has to be waited for before it is sent; else None: see :meth:`ask`."""
        ...

    def ask(self, message: Outgoing, *, timeout: float | None) -> Awaitable[Answer]:
        """Ask a query; await the answer at once."""
        ...

    async def stream(self, message: Outgoing, terms: StreamTerms) -> Replies:
        """Ask a query whose answer is a stream; return when it was sent."""
        ...

    async def gather(self, message: Outgoing, *, timeout: float | None) -> Replies:
        """Ask a query of every instance that answers it; return when it was sent."""
        ...

    @property
    def publisher(self) -> "Publisher":
        """Publishes events as long as that takes no waiting."""
        ...

    async def publish(self, message: Outgoing, *, timeout: float | None) -> None:
        """Publish an event; return when it is in the bounded send buffer."""
        ...

    async def subscribe(self, spec: SubscriptionSpec, sink: Sink, *, timeout: float | None) -> Subscribed:
        """Listen to a topic or pattern from now on."""
        ...

    async def describe(self, kind: str, topic: str, *, timeout: float | None) -> list[Described]:
        """Find out who listens to a topic, and what they say of themselves; all that say the same are told once."""
        ...

    async def drain(self) -> None:
        """Ask for no more deliveries; when this returns none comes any more."""
        ...

    async def flush(self) -> None:
        """Wait until the broker has read everything said so far, or the connection is lost."""
        ...
