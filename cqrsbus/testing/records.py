"""What was called and what was handled, to be asked for what a test expects.

``t.published`` is every event that was published; ``t.published(EmailStored)`` those of a type,
``t.published("email.>")`` those of a topic or pattern. A view is live: it finds what is there when it is asked.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Self, TypeAlias, TypeVar, cast, overload

from cqrsbus.bus.context import Context
from cqrsbus.bus.handler import Handler
from cqrsbus.topics import matches, validate_pattern

M = TypeVar("M")
T = TypeVar("T")
R = TypeVar("R", bound="Record[Any]")

Outcome: TypeAlias = Literal["open", "done", "failed", "cancelled"]


@dataclass(slots=True, kw_only=True)
class Record(Generic[M]):
    """One message, as one side saw it.

    Args:
        topic: Where it went.
        message: What was said.
        headers: The application's own pairs.
        message_id: Its id.
        outcome: What has become of it on this side: still open, done, failed, or cancelled. A call for a stream is done
            when it is open.
        answer: What came back, or was given back; None if nothing. Of a handler's stream, the list of what it gave.
        error: What was raised; None if nothing.
    """

    topic: str
    message: M
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    message_id: str = ""
    outcome: Outcome = "open"
    answer: Any = None
    error: BaseException | None = None


@dataclass(slots=True, kw_only=True)
class Called(Record[M]):
    """A call, as its caller saw it.

    Args:
        verb: ``send``, ``ask``, ``publish``, ``stream`` or ``gather``.
        service: The name of the bus that made it.
    """

    verb: str
    service: str

    def __str__(self) -> str:
        return f"{self.message!r} to {self.topic} by {self.service}{_ending(self)}"


@dataclass(slots=True, kw_only=True)
class Handled(Record[M]):
    """A message, as one handler saw it.

    Args:
        handler: Which handler.
        context: What it knew of the message.
    """

    handler: Handler
    context: Context

    def __str__(self) -> str:
        return f"{self.message!r} on {self.topic} by {self.handler.name}{_ending(self)}"


class Records(Generic[R]):
    """A live view of the records of one kind, in the order in which they began.

    Args:
        what: What they are, for people.
        source: All of that kind.
        wanted: Which of them are in view.
    """

    def __init__(self, what: str, source: Sequence[R], wanted: Callable[[R], bool] = lambda _: True) -> None:
        self._what = what
        self._source = source
        self._wanted = wanted

    def all(self) -> list[R]:
        """Every one in view."""
        return [record for record in self._source if self._wanted(record)]

    def one(self) -> R:
        """The only one in view.

        Raises:
            AssertionError: There is none, or there are more.
        """
        found = self.all()
        if len(found) != 1:
            raise AssertionError(f"expected one {self._what}, found {self._listing(found)}")
        return found[0]

    def none(self) -> None:
        """Make sure that none is in view.

        Raises:
            AssertionError: There are some.
        """
        if found := self.all():
            raise AssertionError(f"expected no {self._what}, found {self._listing(found)}")

    def where(self, condition: Callable[[R], bool]) -> Self:
        """Those in view for which this is true, besides."""
        return self._narrowed(f"{self._what} that fits", condition)

    def __len__(self) -> int:
        return len(self.all())

    def __iter__(self) -> Iterator[R]:
        return iter(self.all())

    def __getitem__(self, index: int) -> R:
        return self.all()[index]

    def __repr__(self) -> str:
        return f"<{self._what}: {self._listing(self.all())}>"

    def _narrowed(self, what: str, condition: Callable[[R], bool]) -> Self:
        outer = self._wanted
        return type(self)(what, self._source, lambda record: outer(record) and condition(record))

    def _of(self, target: type | str) -> Self:
        if isinstance(target, str):
            pattern = validate_pattern(target)
            return self._narrowed(f"{self._what} on {pattern!r}", lambda record: matches(pattern, record.topic))
        return self._narrowed(f"{self._what} {target.__name__}", lambda record: isinstance(record.message, target))

    def _listing(self, found: Sequence[R]) -> str:
        lines = [f"{len(found)}", *(f"  {record}" for record in found)]
        if self._source and not found:
            lines += ["there were:", *(f"  {record}" for record in self._source)]
        return "\n".join(lines)


class CalledRecords(Records[Called[M]]):
    """The calls of one verb: ``t.sent``, ``t.asked``, ``t.published``."""

    @overload
    def __call__(self, target: type[T]) -> "CalledRecords[T]": ...

    @overload
    def __call__(self, target: str) -> "CalledRecords[Any]": ...

    def __call__(self, target: type[Any] | str) -> "CalledRecords[Any]":
        """Those whose message is of a type, or whose topic matches."""
        return cast("CalledRecords[Any]", self._of(target))

    @property
    def messages(self) -> list[M]:
        """What was said in each."""
        return [record.message for record in self]


class HandledRecords(Records[Handled[M]]):
    """What the handlers were given: ``t.handled``."""

    @overload
    def __call__(self, target: type[T]) -> "HandledRecords[T]": ...

    @overload
    def __call__(self, target: str) -> "HandledRecords[Any]": ...

    def __call__(self, target: type[Any] | str) -> "HandledRecords[Any]":
        """Those whose message is of a type, or whose topic matches."""
        return cast("HandledRecords[Any]", self._of(target))

    @property
    def messages(self) -> list[M]:
        """What was said in each."""
        return [record.message for record in self]


def _ending(record: Record[Any]) -> str:
    if record.error is not None:
        return f": {record.outcome}, {record.error!r}"
    return "" if record.outcome == "done" else f": {record.outcome}"
