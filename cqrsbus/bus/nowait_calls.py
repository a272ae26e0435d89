"""Calls, as far as nothing has to be waited for: composed, and given to the link, in one go. Nothing here waits."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from cqrsbus.bus.composer import Composer, split
from cqrsbus.bus.declared_errors import DeclaredErrors
from cqrsbus.bus.expected_errors import error_of_call, errors_of_call
from cqrsbus.bus.reading import read_answer, type_of_answer
from cqrsbus.bus.tightest import tightest
from cqrsbus.bus.types import MessageType
from cqrsbus.errors import RemoteError
from cqrsbus.links.answer import Answer
from cqrsbus.links.outgoing import Outgoing
from cqrsbus.links.port import Asked, Link


class Asking:
    """A query that was sent, or is to be as soon as something else has been waited for. It must be left.

    Args:
        outgoing: The query.
        into: What the answer is read as.
        expected: The errors that its caller expects.
        link: Where it goes.
        timeout: Seconds it has; None for no limit.
    """

    __slots__ = ("_asked", "_expected", "_into", "_link", "_outgoing", "_timeout")

    def __init__(
        self,
        outgoing: Outgoing,
        into: MessageType[Any],
        expected: DeclaredErrors,
        link: Link,
        timeout: float | None,
    ) -> None:
        self._outgoing = outgoing
        self._into = into
        self._expected = expected
        self._link = link
        self._timeout = timeout
        self._asked: Asked | None = link.ask_nowait(outgoing, timeout)

    def end(self) -> Awaitable[Answer | None]:
        """What is to be awaited at once, and once, and its result given to :meth:`read`."""
        if self._asked is None:
            return self._link.ask(self._outgoing, timeout=self._timeout)
        return self._asked.end()

    def read(self, answer: Answer | None) -> Any:
        """The answer, of the type that was wanted.

        Args:
            answer: What :meth:`end` gave.

        Raises:
            BusError: What the call failed with.
            InvalidMessageError: It is of another type, or malformed.
        """
        if answer is None:
            assert self._asked is not None
            answer = self._asked.said()
        return read_answer(answer, self._into, self._outgoing.topic)

    def failure(self, error: RemoteError) -> Exception:
        """What its caller is to raise for what the handler raised."""
        return error_of_call(error, self._outgoing, self._expected)

    def leave(self) -> None:
        """Its caller has the answer, or goes without."""
        if self._asked is not None:
            self._asked.leave()


class NowaitCalls:
    """The calls of one bus.

    Args:
        composer: What makes their messages.
    """

    __slots__ = ("_composer",)

    def __init__(self, composer: Composer) -> None:
        self._composer = composer

    # Nothing by keyword, which takes longer: this is the hot path.
    def ask(
        self,
        link: Link,
        scope_deadline: Callable[[], float],
        target: object,
        message: object,
        returns: object,
        raises: Sequence[type[Exception]],
        timeout: float | None,
        headers: Mapping[str, str] | None,
        message_id: str | None,
    ) -> Asking:
        """Send a query if that takes no waiting.

        Args:
            link: Where it goes.
            scope_deadline: Tells the deadline of the cancel scopes in which the call is made.
            target: See :meth:`Caller.ask`, as for those that follow.
            message: The message, if a topic was given.
            returns: The answer's type.
            raises: The exceptions that are raised as they are.
            timeout: Seconds to wait.
            headers: The application's own pairs.
            message_id: Its id; None makes a new one.

        Raises:
            InvalidTopicError, InvalidMessageError, PayloadTooLargeError, TypeError: It cannot be sent.
        """
        topic, content = split(target, message, "ask")
        into = type_of_answer(content, returns)
        outgoing = self._composer.compose(topic, content, headers, message_id)
        expected = errors_of_call("ask", content, raises)
        return Asking(outgoing, into, expected, link, tightest(timeout, scope_deadline()))

    def publish(
        self,
        link: Link,
        target: object,
        message: object,
        headers: Mapping[str, str] | None,
        message_id: str | None,
    ) -> Outgoing | None:
        """Publish an event if that takes no waiting; else return what is to be published.

        Args:
            link: Where it goes.
            target: See :meth:`Caller.publish`, as for those that follow.
            message: The message, if a topic was given.
            headers: The application's own pairs.
            message_id: Its id; None makes a new one.

        Raises:
            InvalidTopicError, InvalidMessageError, PayloadTooLargeError, TypeError: It cannot be published.
        """
        topic, content = split(target, message, "publish")
        outgoing = self._composer.compose(topic, content, headers, message_id)
        return None if link.publish_nowait(outgoing) else outgoing
