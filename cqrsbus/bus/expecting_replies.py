"""Several answers, among which may be errors that their caller expects."""

from cqrsbus.bus.declared_errors import DeclaredErrors
from cqrsbus.bus.expected_errors import error_of_call
from cqrsbus.bus.time_left import scope_first
from cqrsbus.errors import DeadlineExceededError, RemoteError
from cqrsbus.links.outgoing import Outgoing
from cqrsbus.links.port import Instance, Replies, Reply


class ExpectingReplies:
    """Several answers, whose declared errors are made again; see :class:`cqrsbus.links.port.Replies`.

    Args:
        replies: The answers as they come.
        outgoing: The message that was sent.
        expected: What the caller expects.
    """

    def __init__(self, replies: Replies, outgoing: Outgoing, expected: DeclaredErrors) -> None:
        self._replies = replies
        self._outgoing = outgoing
        self._expected = expected

    @property
    def asked(self) -> tuple[Instance, ...]:
        """See :attr:`Replies.asked`."""
        return tuple(self._replies.asked)

    async def next(self) -> Reply | None:
        """See :meth:`Replies.next`; what it raises, and the errors of single answers, are those that are expected."""
        try:
            reply = await self._replies.next()
        except DeadlineExceededError:
            await scope_first()
            raise
        except RemoteError as error:
            failure = self._made_again(error)
            raise failure from failure.__cause__
        if reply is None or reply.error is None:
            return reply
        if isinstance(reply.error, DeadlineExceededError):
            await scope_first()
        elif isinstance(reply.error, RemoteError):
            return reply._replace(error=self._made_again(reply.error))
        return reply

    def leave(self) -> None:
        """See :meth:`Replies.leave`."""
        self._replies.leave()

    def _made_again(self, error: RemoteError) -> Exception:
        return error_of_call(error, self._outgoing, self._expected)
