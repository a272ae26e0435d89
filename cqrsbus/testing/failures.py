"""What handlers raised and no caller was told of."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from cqrsbus.bus.handler import Handler

E = TypeVar("E", bound=Exception)


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure.

    Args:
        error: What the handler raised; an InvalidMessageError if it could not read the message.
        handler: Which handler.
        message_id: The message it failed on.
    """

    error: Exception
    handler: Handler
    message_id: str

    def __str__(self) -> str:
        return f"{self.error!r} by {self.handler}"


class Failures:
    """``t.errors``: what is left of them when the test ends fails it."""

    def __init__(self) -> None:
        self._failures: list[Failure] = []

    def add(self, failure: Failure) -> None:
        """Take note of a failure."""
        self._failures.append(failure)

    def expect(self, error: type[E]) -> E:
        """Take out the first failure with such an error, and return the error: the test expects it.

        Args:
            error: The class.

        Raises:
            AssertionError: There is none.
        """
        for failure in self._failures:
            if isinstance(failure.error, error):
                self._failures.remove(failure)
                return failure.error
        raise AssertionError(f"expected that a handler fails with {error.__name__}, found {self._listing()}")

    def raise_unexpected(self) -> None:
        """Raise what the test has not expected.

        Raises:
            ExceptionGroup: Every error that is left, each with a note of its handler.
        """
        failures, self._failures = self._failures, []
        for failure in failures:
            failure.error.add_note(f"raised by the handler {failure.handler} on message {failure.message_id}")
        if failures:
            raise ExceptionGroup("handlers failed, and no caller was told", [failure.error for failure in failures])

    def tell(self, error: Exception) -> None:
        """Note what is left on the error that ends the test: it may be the reason."""
        failures, self._failures = self._failures, []
        for failure in failures:
            error.add_note(f"a handler had failed: {failure}")

    def __len__(self) -> int:
        return len(self._failures)

    def __iter__(self) -> Iterator[Failure]:
        return iter(tuple(self._failures))

    def _listing(self) -> str:
        return "\n".join([str(len(self)), *(f"  {failure}" for failure in self)])
