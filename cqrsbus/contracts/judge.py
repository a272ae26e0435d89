"""What is wrong between those who need a topic and those who handle it.

The rules:

1. A command or query that is needed is handled by somebody; an event need not be.
2. A handler reads what its caller writes; a caller reads what the handler answers. Every version that is running is
   compared, each once.
3. A command belongs to one service. A query may be answered by several, if all declare it alike.
4. What is not known (a handler that says nothing of its types) is not judged.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cqrsbus.contracts.compare import breaks
from cqrsbus.contracts.contract import Contract
from cqrsbus.topics import matches


class Problem(StrEnum):
    """What kind of thing is wrong."""

    #: Nobody handles what is needed.
    MISSING = "missing handler"
    #: Two services handle one command.
    SECOND_OWNER = "second owner"
    #: Two services answer one query in different ways.
    DIFFERENT = "different answers"
    #: One side refuses what the other writes.
    BREAK = "schema break"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong between services.

    Args:
        problem: What kind of thing.
        topic: The topic concerned.
        reason: What exactly is wrong, in one sentence.
        places: Who declares it and where, each ``service version: module.qualname (file:line)``: first who needs
            the topic, then who handles it.
    """

    problem: Problem
    topic: str
    reason: str
    places: tuple[str, ...] = ()

    def __str__(self) -> str:
        places = f" [{' | '.join(self.places)}]" if self.places else ""
        return f"{self.problem} for {self.topic!r}: {self.reason}{places}"


def judge(required: Sequence[Contract], handled: Sequence[Contract]) -> list[Finding]:
    """Find everything that is wrong.

    Args:
        required: What callers need.
        handled: What handlers take and give.
    """
    found = [finding for each in required for finding in _needed(each, handled)]
    return list(dict.fromkeys([*found, *_rivals(handled)]))


def _needed(needed: Contract, handled: Iterable[Contract]) -> Iterator[Finding]:
    handlers = [each for each in handled if each.kind == needed.kind and matches(each.topic, needed.topic)]
    if not handlers and needed.kind != "event":
        reason = f"no service handles this {needed.kind}"
        yield Finding(problem=Problem.MISSING, topic=needed.topic, reason=reason, places=(str(needed),))
    for handler in handlers:
        places = (str(needed), str(handler))
        for reason in _broken(needed, handler):
            yield Finding(problem=Problem.BREAK, topic=needed.topic, reason=reason, places=places)


def _broken(needed: Contract, handler: Contract) -> Iterator[str]:
    if needed.message is not None and handler.message is not None:
        yield from map(str, breaks(needed.message, handler.message))
    if needed.answer is not None and handler.answer is not None:
        for each in breaks(handler.answer, needed.answer):
            yield f"in the answer, {each}" if each.path else f"the answer {each.reason}"


def _rivals(handled: Sequence[Contract]) -> Iterator[Finding]:
    firsts: dict[tuple[str, str], Contract] = {}
    for handler in handled:
        first = firsts.setdefault((handler.kind, handler.topic), handler)
        if handler.kind == "event" or first.service == handler.service:
            continue
        places = (str(first), str(handler))
        if handler.kind == "command":
            reason = f"it belongs to {first.service!r}, and {handler.service!r} handles it too"
            yield Finding(problem=Problem.SECOND_OWNER, topic=handler.topic, reason=reason, places=places)
        elif first.hashes != handler.hashes and first.message_hash and handler.message_hash:
            reason = f"{first.service!r} and {handler.service!r} both answer it, with different types"
            yield Finding(problem=Problem.DIFFERENT, topic=handler.topic, reason=reason, places=places)
