"""Keeps the records, and finds out which failures a caller is told of.

The rules:

1. A call is open from when it is made until it returns, all middleware included. It is recorded as it goes out, behind
   the last middleware; what is handled is recorded as the handler gets it. So what middleware changes is seen, and
   what it keeps back is not.
2. A failure belongs to whoever waits for the message. Where the handler ran in this process, its exception becomes the
   ``__cause__`` of what the caller gets.
3. A failure that nobody waits for, or whose caller has left before it came, is kept in ``errors``. Callers in other
   processes, and those of streams, are told by the bus: the failure of a query that is not known here is theirs.
"""

import secrets
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

from cqrsbus.bus.bus import Bus
from cqrsbus.bus.handler import Handler, HandlerKind
from cqrsbus.bus.middleware import Call, Handling, NextCall, NextHandling, chain
from cqrsbus.testing.failures import Failure, Failures
from cqrsbus.testing.quiet import Open
from cqrsbus.testing.records import Called, CalledRecords, Handled, HandledRecords, Record


class Recorder:
    """What all the buses of one test have said and done."""

    def __init__(self) -> None:
        self.errors = Failures()
        self.open = Open()
        self._called: list[Called[Any]] = []
        self._handled: list[Handled[Any]] = []
        # By message id: who waits, with what was raised for them; and who has left without a failure.
        self._waiting: dict[str, Failure | None] = {}
        self._left: set[str] = set()
        self._prefix = secrets.token_hex(8)
        self._numbers = count(1)

    def called(self, what: str, *verbs: str) -> CalledRecords[Any]:
        """The calls of some verbs."""
        return CalledRecords(what, self._called, lambda record: record.verb in verbs)

    def handled(self) -> HandledRecords[Any]:
        """What handlers were given."""
        return HandledRecords("handled message", self._handled)

    @property
    def at_work(self) -> list[Handled[Any]]:
        """What handlers were given and are not done with."""
        return [record for record in self._handled if record.outcome == "open"]

    @contextmanager
    def watching(self, bus: Bus) -> Generator[None]:
        """Watch a bus, and leave it as it was."""
        former = {name: getattr(bus, name) for name in ("_call_middleware", "_around", "_handlers", "_on_failure")}
        bus._call_middleware = [self._count, *bus._call_middleware, partial(self._record_call, bus.name)]
        bus._around = chain(bus._call_middleware, bus._place)
        bus._handlers = [replace(each, middleware=(*each.middleware, self._record_handling)) for each in bus._handlers]
        bus._on_failure = self._on_failure
        try:
            yield
        finally:
            for name, value in former.items():
                setattr(bus, name, value)

    async def _count(self, call: Call, call_next: NextCall) -> Any:
        with self.open.one_more():
            return await call_next(call)

    async def _record_call(self, service: str, call: Call, call_next: NextCall) -> Any:
        message_id = call.message_id or f"{self._prefix}-{next(self._numbers)}"
        call = replace(call, message_id=message_id)
        record = Called(
            verb=call.verb,
            service=service,
            topic=call.topic,
            message=call.message,
            headers=call.headers,
            message_id=message_id,
        )
        self._called.append(record)
        if call.verb != "ask" and not call.wait:
            # What a stream is opened with is the bus' own.
            with _watching(record):
                return await call_next(call)
        with self._waiting_for(message_id), _watching(record):
            record.answer = await call_next(call)
            return record.answer

    async def _record_handling(self, handling: Handling, call_next: NextHandling) -> Any:
        context = handling.context
        record = Handled(
            topic=context.topic,
            message=handling.message,
            headers=context.headers,
            message_id=context.message_id,
            handler=handling.handler,
            context=context,
        )
        self._handled.append(record)
        if handling.handler.is_stream:
            return _recorded(record, await call_next(handling))
        with _watching(record):
            record.answer = await call_next(handling)
            return record.answer

    @contextmanager
    def _waiting_for(self, message_id: str) -> Generator[None]:
        self._waiting[message_id] = None
        try:
            yield
        except Exception as error:
            failure = self._waiting.pop(message_id)
            if failure is not None:
                error.__cause__ = failure.error
            raise
        finally:
            # It ended in another way than with an error: whatever was raised, its caller was not told.
            if (untold := self._waiting.pop(message_id, None)) is not None:
                self.errors.add(untold)
            self._left.add(message_id)

    def _on_failure(self, handler: Handler, error: Exception, message_id: str) -> None:
        failure = Failure(error, handler, message_id)
        if message_id in self._waiting:
            self._waiting[message_id] = failure
        elif handler.kind is not HandlerKind.QUERY or message_id in self._left:
            self.errors.add(failure)


async def _recorded(record: Record[Any], answers: AsyncGenerator[Any]) -> AsyncGenerator[Any]:
    record.answer = list[Any]()
    with _watching(record):
        async with aclosing(answers):
            async for answer in answers:
                record.answer.append(answer)
                yield answer


@contextmanager
def _watching(record: Record[Any]) -> Generator[None]:
    try:
        yield
    except Exception as error:
        record.outcome, record.error = "failed", error
        raise
    except BaseException:
        record.outcome = "cancelled"
        raise
    record.outcome = "done"
