"""What a query handler answers must be declared, and is refused only where it is certainly wrong."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Sequence
from decimal import Decimal
from typing import Annotated, Any, Protocol, TypedDict

import pytest
from pydantic import BaseModel

from cqrsbus.bus.answers import check_answer, declared_answer
from cqrsbus.bus.callables import Described, describe
from cqrsbus.bus.handler import HandlerKind
from cqrsbus.errors import TopologyError
from cqrsbus.messages import Query


class Answer(BaseModel):
    total: int


class MoreThanAnswer(Answer):
    more: int


class Unrelated(BaseModel):
    other: int


class HasTotal(Protocol):
    total: int


class AnswerDict(TypedDict):
    total: int


class Ask(Query[Answer]):
    pass


class AskForText(Query[str]):
    pass


class AskForNumber(Query[float]):
    pass


class AskForMany(Query[list[Answer]]):
    pass


class AskForPerhaps(Query[Answer | None]):
    pass


class AskForNothing(Query[None]):
    pass


def single(message: int) -> None: ...


async def stream(message: int) -> AsyncIterator[int]:
    yield message


SINGLE, STREAM = describe(single), describe(stream)


def refused(described: Described, annotation: object) -> str:
    with pytest.raises(TypeError) as caught:
        declared_answer(described, HandlerKind.QUERY, annotation)
    assert f"{__file__}:" in str(caught.value)
    return str(caught.value).replace(str(described), "HANDLER")


@pytest.mark.parametrize("kind", [HandlerKind.COMMAND, HandlerKind.EVENT])
@pytest.mark.parametrize("annotation", [None, type(None), int])
def test_commands_and_events_may_declare_anything(kind: HandlerKind, annotation: object) -> None:
    assert declared_answer(SINGLE, kind, annotation) is annotation


@pytest.mark.parametrize("annotation", [int, type(None), Any, list[Answer], Annotated[int, "note"]])
def test_an_answer_stays_as_declared(annotation: object) -> None:
    assert declared_answer(SINGLE, HandlerKind.QUERY, annotation) == annotation


@pytest.mark.parametrize(
    "annotation",
    [
        AsyncIterator[Answer],
        AsyncIterable[Answer],
        AsyncGenerator[Answer, None],
        Annotated[AsyncIterator[Answer], "note"],
    ],
)
def test_a_stream_answers_with_items(annotation: object) -> None:
    assert declared_answer(STREAM, HandlerKind.QUERY, annotation) is Answer


@pytest.mark.parametrize("described", [SINGLE, STREAM], ids=["single", "stream"])
def test_a_query_handler_must_say_what_it_answers(described: Described) -> None:
    assert refused(described, None) == (
        "HANDLER is a query handler and does not say what it answers: "
        "add a return annotation, as in '-> EmailQueryResponse'"
    )


@pytest.mark.parametrize("annotation", [int, AsyncIterator, list[int]])
def test_a_stream_must_say_what_its_items_are(annotation: object) -> None:
    assert refused(STREAM, annotation) == (
        f"HANDLER is a stream of answers but is declared to return {annotation!r}: "
        f"annotate it with '-> AsyncIterator[Item]'"
    )


@pytest.mark.parametrize("annotation", [AsyncIterator[int], AsyncIterator])
def test_only_a_generator_declares_a_stream(annotation: object) -> None:
    assert refused(SINGLE, annotation) == (
        f"HANDLER says that it answers with {annotation!r} but is no async generator: "
        f"write 'async def' with 'yield', or return one answer"
    )


@pytest.mark.parametrize(
    ("query", "declared"),
    [
        (Ask, Answer),
        (Ask, MoreThanAnswer),
        (Ask, BaseModel),
        (Ask, Annotated[Answer, "note"]),
        (Annotated[Ask, "note"], Answer),
        (Ask, Answer | None),
        (Ask, Any),
        (Ask, object),
        (Ask, dict),
        (Ask, dict[str, int]),
        (Ask, AnswerDict),
        (Ask, HasTotal),
        (AskForNumber, int),
        (AskForNumber, Decimal),
        (AskForMany, Sequence[Answer]),
        (AskForMany, int),
        (AskForPerhaps, type(None)),
        (AskForNothing, type(None)),
        (Query, int),
        (dict[str, int], int),
        (Answer, Unrelated),
    ],
)
def test_what_may_be_right_is_accepted(query: object, declared: object) -> None:
    check_answer(SINGLE, query, declared)


@pytest.mark.parametrize(
    ("query", "declared", "said", "wanted"),
    [
        (Ask, Unrelated, "Unrelated", "Answer"),
        (Ask, type(None), "None", "Answer"),
        (Ask, str, "str", "Answer"),
        (Annotated[Ask, "note"], Annotated[Unrelated, "note"], "Unrelated", "Answer"),
        (AskForText, int, "int", "str"),
        (AskForNothing, str, "str", "None"),
    ],
)
def test_what_is_certainly_wrong_is_refused(query: object, declared: object, said: str, wanted: str) -> None:
    with pytest.raises(TopologyError) as caught:
        check_answer(SINGLE, query, declared)
    name = (query if isinstance(query, type) else Ask).__qualname__
    assert caught.value.reason == (
        f"{SINGLE} answers with {said}, but {name} asks for {wanted}: "
        f"return {wanted}, or change the class to Query[{said}]"
    )
    assert f"{__file__}:" in caught.value.reason


def test_functions_here_are_what_they_are_described_as() -> None:
    functions: list[Callable[..., object]] = [SINGLE.function, STREAM.function]
    assert (functions, SINGLE.is_stream, STREAM.is_stream) == ([single, stream], False, True)
