"""What type checkers see of middleware and dependencies. Checked, never run.

Every ignore stands for an intended error: one that is not needed is itself an error, for mypy.
"""

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any, assert_type

from cqrsbus import Bus, Call, Command, Depends, HandlerGroup, Handling, NextCall, NextHandling, Query

bus = Bus("mailer")
group = HandlerGroup()


class Store(Command, topic="store"):
    pass


class Count(Query[int], topic="count"):
    pass


@bus.call_middleware
async def around_calls(call: Call, call_next: NextCall) -> int:
    assert_type(call.headers, dict[str, str])
    await call_next(call)
    return 1


@bus.handling_middleware
@group.handling_middleware
async def around_handling(handling: Handling, call_next: NextHandling) -> Any:
    assert_type(handling.message, object)
    return await call_next(handling)


class Counting:
    async def __call__(self, call: Call, call_next: NextCall) -> Any:
        return await call_next(call)


assert_type(bus.call_middleware(Counting()), Counting)


async def results(call: Call, call_next: NextCall) -> None:
    assert_type(await around_calls(call, call_next), int)


def not_async(handling: Handling, call_next: NextHandling) -> int:
    return 1


bus.call_middleware(around_handling)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
bus.handling_middleware(around_calls)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
bus.handling_middleware(not_async)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


class Session:
    name: str


async def open_session() -> AsyncIterator[Session]:
    yield Session()


def session_name(session: Annotated[Session, Depends(open_session)]) -> str:
    assert_type(session, Session)
    return session.name


@group.command_handler()
async def store(
    command: Store, session: Annotated[Session, Depends(open_session)], *, name: Annotated[str, Depends(session_name)]
) -> None:
    assert_type(session, Session)
    assert_type(name, str)


@group.query_handler()
async def count(query: Count, session: Annotated[Session, Depends(open_session, use_cache=False)]) -> int:
    return 1


@group.query_handler("words")
async def words(query: str, session: Annotated[Session, Depends(open_session)]) -> AsyncIterator[str]:
    yield session.name


async def as_they_were(session: Session) -> None:
    await store(Store(), session, name="a")
    assert_type(await count(Count(), session), int)
    assert_type(words("a", session), AsyncIterator[str])
    await store(Store())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


made: Callable[[Count, Session], Coroutine[Any, Any, int]] = count

bus.dependency_overrides[open_session] = Session
with bus.override_dependency(open_session, lambda: Session()):
    pass
with bus.override_dependency(open_session, "a session"):  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    pass


def by_default(session: Session = Depends(open_session)) -> None: ...  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
