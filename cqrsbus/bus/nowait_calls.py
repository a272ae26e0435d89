"""Calls, as far as nothing has to be waited for: composed, and given to the link, in one go. Nothing here waits."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from cqrsbus.bus.composer import Composer, split
from cqrsbus.bus.declared_errors import DeclaredErrors
from cqrsbus.bus.expected_errors import NO_ERRORS, error_of_call, errors_of_call
from cqrsbus.bus.reading import read_answer, type_of_answer
from cqrsbus.bus.tightest import tightest
from cqrsbus.bus.types import MessageType
from cqrsbus.errors import RemoteError
from cqrsbus.links.answer import Answer
from cqrsbus.links.outgoing import Outgoing
from cqrsbus.links.port import Link, Opened


class Placed(ABC):
    """A call that was placed, or is to be as soon as something else has been waited for. It must be left.

    Args:
        outgoing: What is said.
        expected: The errors that its caller expects.
        link: Where it goes.
        timeout: Seconds it has; None for no limit.
        opened: What was sent at once; None if it could not be.
    """

    __slots__ = ("_expected", "_link", "_opened", "_outgoing", "_timeout")

    def __init__(
        self,
        outgoing: Outgoing,
        expected: DeclaredErrors,
        link: Link,
        timeout: float | None,
        opened: Opened | None,
    ) -> None:
        self._outgoing = outgoing
        self._expected = expected
        self._link = link
        self._timeout = timeout
        self._opened = opened

    @abstractmethod
    def end(self) -> Awaitable[Any]:
        """What is to be awaited at once, and once, and its result given to :meth:`outcome`."""

    @abstractmethod
    def outcome(self, told: Any) -> Any:
        """What the call returns; it is left before.

        Args:
            told: What :meth:`end` gave.

        Raises:
            BusError: What the call failed with.
            InvalidMessageError: The answer is of another type, or malformed.
        """

    def failure(self, error: RemoteError) -> Exception:
        """What its caller is to raise for what the handler raised."""
        return error_of_call(error, self._outgoing, self._expected)

    def leave(self) -> None:
        """Its caller has what it ended with, or goes without; to say it again changes nothing."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.leave()


class Asking(Placed):
    """A query; see :class:`Placed`.

    Args:
        into: What the answer is read as.
    """

    __slots__ = ("_into",)

    def __init__(
        self,
        outgoing: Outgoing,
        expected: DeclaredErrors,
        link: Link,
        timeout: float | None,
        opened: Opened | None,
        into: MessageType[Any],
    ) -> None:
        super().__init__(outgoing, expected, link, timeout, opened)
        self._into = into

    def end(self) -> Awaitable[Any]:
        """See :meth:`Placed.end`."""
        if self._opened is None:
            return self._link.ask(self._outgoing, timeout=self._timeout)
        return self._opened.end()

    def outcome(self, told: Any) -> Any:
        """See :meth:`Placed.outcome`."""
        opened = self._opened
        if opened is None:
            answer: Answer = told
        else:
            self.leave()
            answer = opened.said()
        return read_answer(answer, self._into, self._outgoing.topic)


class Sending(Placed):
    """A command; see :class:`Placed`.

    Args:
        wait: Whether it is to be handled before it ends.
    """

    __slots__ = ("_wait",)

    def __init__(
        self,
        outgoing: Outgoing,
        expected: DeclaredErrors,
        link: Link,
        timeout: float | None,
        opened: Opened | None,
        wait: bool,
    ) -> None:
        super().__init__(outgoing, expected, link, timeout, opened)
        self._wait = wait

    def end(self) -> Awaitable[Any]:
        """See :meth:`Placed.end`."""
        if self._opened is None:
            return self._link.send(self._outgoing, timeout=self._timeout, wait=self._wait)
        return self._opened.end()

    def outcome(self, told: Any) -> Any:
        """See :meth:`Placed.outcome`; a command has no answer."""
        opened = self._opened
        if opened is not None:
            self.leave()
            opened.result()
        return None


class NowaitCalls:
    """The calls of one bus that is running.

    Args:
        composer: What makes their messages.
        link: Where they go.
        scope_deadline: Tells the deadline of the cancel scopes in which a call is made.
    """

    __slots__ = ("_ask_nowait", "_composer", "_publisher", "_scope_deadline", "_send_nowait", "link")

    def __init__(self, composer: Composer, link: Link, scope_deadline: Callable[[], float]) -> None:
        self._composer = composer
        #: Where they go.
        self.link = link
        self._scope_deadline = scope_deadline
        # Looked up once, and not for each call.
        self._ask_nowait = link.ask_nowait
        self._send_nowait = link.send_nowait
        self._publisher = link.publisher

    # Nothing by keyword, which takes longer: this is the hot path.
    def ask(
        self,
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
        left = tightest(timeout, self._scope_deadline())
        return Asking(outgoing, expected, self.link, left, self._ask_nowait(outgoing, left), into)

    def send(
        self,
        target: object,
        message: object,
        wait: bool,
        raises: Sequence[type[Exception]],
        timeout: float | None,
        headers: Mapping[str, str] | None,
        message_id: str | None,
    ) -> Sending:
        """Send a command if that takes no waiting; see :meth:`ask` for what is not said here.

        Args:
            target: See :meth:`Caller.send`, as for those that follow.
            message: The message, if a topic was given.
            wait: Whether to wait until it was handled.
            raises: The exceptions that are raised as they are.
            timeout: Seconds to wait.
            headers: The application's own pairs.
            message_id: Its id; None makes a new one.

        Raises:
            InvalidTopicError, InvalidMessageError, PayloadTooLargeError, TypeError: It cannot be sent.
        """
        topic, content = split(target, message, "send")
        outgoing = self._composer.compose(topic, content, headers, message_id)
        if wait:
            expected = errors_of_call("send", content, raises)
        elif raises == ():
            expected = NO_ERRORS
        else:
            raise TypeError(
                "bus.send() learns what the handler raises only with wait=True: add it, or leave out raises="
            )
        left = tightest(timeout, self._scope_deadline())
        return Sending(outgoing, expected, self.link, left, self._send_nowait(outgoing, left, wait), wait)

    def publish(
        self, target: object, message: object, headers: Mapping[str, str] | None, message_id: str | None
    ) -> Outgoing | None:
        """Publish an event if that takes no waiting; else return what is to be published.

        Args:
            target: See :meth:`Caller.publish`, as for those that follow.
            message: The message, if a topic was given.
            headers: The application's own pairs.
            message_id: Its id; None makes a new one.

        Raises:
            InvalidTopicError, InvalidMessageError, PayloadTooLargeError, TypeError: It cannot be published.
        """
        topic, content = split(target, message, "publish")
        composer, publisher = self._composer, self._publisher
        if message_id is not None:
            outgoing = composer.compose(topic, content, headers, message_id)
            if not publisher.is_open:
                return outgoing
            publisher.put(outgoing)
            return None
        body, origin, number = composer.encode(topic, content), composer.origin(topic, headers), composer.next_number()
        if not publisher.is_open:
            return Outgoing(topic, None, body, origin, number)
        # Most are put at once, and no Outgoing is made for them.
        publisher.put_numbered(topic, origin, number, body)
        return None
