"""What a handler depends on: found out when it is declared, and refused there if it can never be."""

from collections.abc import Callable
from typing import Annotated, Any, Protocol

import pytest
from pydantic import BaseModel

from cqrsbus import Command, Context, Depends, HandlerGroup
from cqrsbus.bus.dependency_graph import FromContext, FromDependency, FromMessage, Making, analyse_dependency, is_such


class Store(Command, topic="store"):
    word: str = ""


def session() -> str:
    return "session"


def one(two: "Annotated[str, Depends(two)]") -> str:  # pyright: ignore[reportUndefinedVariable]
    return two


def two(one: "Annotated[str, Depends(one)]") -> str:
    return one


def refused(handler: Callable[..., Any]) -> str:
    with pytest.raises(TypeError) as raised:
        HandlerGroup().command_handler()(handler)
    return str(raised.value)


class TestWhatAParameterGets:
    def test_of_each_sort(self) -> None:
        async def made(
            message: Store,
            /,
            ctx: Context | None = None,
            limit: int = 10,
            *rest: str,
            session: Annotated[str, Depends(session)] = "a default",
            **others: str,
        ) -> None: ...

        node = analyse_dependency(made)
        assert node.making is Making.ASYNC
        assert node.positional == (FromMessage(Store),)
        (context_name, context), (session_name, dependency) = node.named
        assert (context_name, context, session_name) == ("ctx", FromContext(), "session")
        assert isinstance(dependency, FromDependency)
        assert (dependency.node.function, dependency.node.making) == (session, Making.SYNC)

    @pytest.mark.parametrize(
        ("message", "annotation", "expected"),
        [
            (Store, Store, True),
            (Store, Command, True),
            (Store, BaseModel, True),
            (Store, object, True),
            (Store, Any, True),
            (Store, Store | int, True),
            (Store | int, Store, False),
            (Store | int, Store | float | int, True),
            (Annotated[Store, "x"], Store, True),
            (Command, Store, False),
            (Store, str, False),
            (list[int], list[int], True),
            (list[int], list[str], False),
        ],
    )
    def test_the_message_goes_to_what_it_is(self, message: object, annotation: object, expected: bool) -> None:
        assert is_such(message, annotation) is expected

    def test_a_protocol_is_believed(self) -> None:
        class HasWord(Protocol):
            word: str

        def made(message: HasWord) -> str:
            return message.word

        async def store(command: Store, word: Annotated[str, Depends(made)]) -> None: ...

        HandlerGroup().command_handler()(store)


class TestRefused:
    def test_no_callable(self) -> None:
        async def store(command: Store, a: Annotated[str, Depends("session")]) -> None: ...  # pyright: ignore[reportArgumentType]

        assert "store" in refused(store)
        assert "Depends takes a function, not 'session'" in refused(store)

    def test_depends_in_place_of_a_default(self) -> None:
        async def store(command: Store, a: str = Depends(session)) -> None: ...  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]

        assert "write 'a: Annotated[T, Depends(session)]'" in refused(store)

    def test_several_in_one_annotation(self) -> None:
        async def store(command: Store, a: Annotated[str, Depends(session), Depends(one)]) -> None: ...

        assert "'a' of" in refused(store)
        assert "2 Depends: keep one" in refused(store)

    def test_a_parameter_that_nobody_would_pass(self) -> None:
        def needy(user_id: int) -> str:
            return str(user_id)

        async def store(command: Store, a: Annotated[str, Depends(needy)]) -> None: ...

        told = refused(store)
        assert "needy (" in told
        assert "test_dependency_graph.py:" in told
        assert "a dependency of" in told

    def test_two_parameters_that_nobody_would_pass(self) -> None:
        def needy(command: Store, user_id: int) -> str:
            return str(user_id)

        async def store(command: Store, a: Annotated[str, Depends(needy)]) -> None: ...

        assert "2 parameters that nobody would pass ('command', 'user_id')" in refused(store)

    def test_a_circle(self) -> None:
        async def store(command: Store, a: Annotated[str, Depends(one)]) -> None: ...

        told = refused(store)
        assert "one (" in told
        assert "depends on itself: " in told
        assert "two (" in told

    def test_itself_by_way_of_its_handler(self) -> None:
        group = HandlerGroup()

        async def store(command: Store, a: "Annotated[str, Depends(store)]") -> None: ...  # pyright: ignore[reportUnboundVariable]

        with pytest.raises(TypeError, match="depends on itself"):
            group.command_handler()(store)
        assert group.handlers == ()

    def test_an_annotation_that_cannot_be_resolved(self) -> None:
        def lost(a: "Annotated[str, Depends(nowhere)]" = "a default") -> str:  # noqa: F821  # pyright: ignore[reportUndefinedVariable]
            return a

        async def store(command: Store, a: Annotated[str, Depends(lost)]) -> None: ...

        told = refused(store)
        assert "'a' of" in told
        assert "lost (" in told
        assert "nowhere" in told

    def test_a_builtin_that_does_not_tell_its_parameters(self) -> None:
        async def store(command: Store, a: Annotated[object, Depends(iter)]) -> None: ...

        assert "builtins.iter" in refused(store)


def test_no_message_but_dependencies_is_refused_as_before() -> None:
    async def store(a: Annotated[str, Depends(session)]) -> None: ...

    assert "takes no message" in refused(store)


def test_the_function_stays_what_it_was() -> None:
    async def store(command: Store, a: Annotated[str, Depends(session)] = "given") -> None: ...

    group = HandlerGroup()
    assert group.command_handler()(store) is store
    (handler,) = group.handlers
    assert (handler.message_parameter, handler.message_annotation) == ("command", Store)
    assert handler.dependencies is not None
