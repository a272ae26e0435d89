from typing import Any

from pydantic import BaseModel, TypeAdapter

from cqrsbus.contracts.contract import Contract, contract
from cqrsbus.contracts.judge import Finding, Problem, judge
from cqrsbus.contracts.schema import schema_of


class Find(BaseModel):
    word: str


class FindPage(BaseModel):
    word: str
    page: int


def needs(kind: str, topic: str, message: Any, answer: Any = None) -> Contract:
    answers = None if answer is None else schema_of(TypeAdapter(answer), "reader")
    written = schema_of(TypeAdapter(message), "writer")
    return contract(kind, topic, written, answers, service="web", place="web.Find (web.py:3)")


def handles(kind: str, topic: str, message: Any, answer: Any = None, *, service: str = "notes") -> Contract:
    answers = None if answer is None else schema_of(TypeAdapter(answer), "writer")
    read = schema_of(TypeAdapter(message), "reader")
    return contract(kind, topic, read, answers, service=service, place=f"{service}.find ({service}.py:7)")


def test_all_is_well() -> None:
    required = [needs("query", "find", Find, list[str]), needs("command", "do", int), needs("event", "done", int)]
    handled = [handles("query", "find", Find, list[str]), handles("command", "do", int), handles("event", ">", Any)]
    assert judge(required, handled) == []


def test_a_command_and_a_query_need_a_handler_of_their_own_kind() -> None:
    required = [needs("command", "a", int), needs("query", "b", int, int), needs("event", "c", int)]
    handled = [handles("event", "a", int), handles("command", "b", int)]
    assert judge(required, handled) == [
        Finding(
            problem=Problem.MISSING,
            topic="a",
            reason="no service handles this command",
            places=("web: web.Find (web.py:3)",),
        ),
        Finding(
            problem=Problem.MISSING,
            topic="b",
            reason="no service handles this query",
            places=("web: web.Find (web.py:3)",),
        ),
    ]


def test_both_directions_are_compared() -> None:
    found = judge([needs("query", "find", Find, list[str])], [handles("query", "find", FindPage, list[int])])
    assert [(each.problem, each.reason) for each in found] == [
        (Problem.BREAK, "page is required, and not written"),
        (Problem.BREAK, "in the answer, [] is written as integer, and read as string"),
    ]
    assert found[0].places == ("web: web.Find (web.py:3)", "notes: notes.find (notes.py:7)")


def test_an_event_is_compared_with_every_pattern_that_hears_it() -> None:
    handled = [handles("event", "mail.*", FindPage), handles("event", "other.*", FindPage)]
    assert [each.problem for each in judge([needs("event", "mail.new", Find)], handled)] == [Problem.BREAK]


def test_every_version_is_compared_and_equal_ones_once() -> None:
    handled = [handles("query", "find", Find, int)] * 3 + [handles("query", "find", FindPage, int)] * 3
    assert len(judge([needs("query", "find", Find, int)], handled)) == 1


def test_a_command_belongs_to_one_service() -> None:
    handled = [handles("command", "do", int), handles("command", "do", int), handles("command", "do", int, service="b")]
    (found,) = judge([], handled)
    assert found.problem is Problem.SECOND_OWNER
    assert str(found) == (
        "second owner for 'do': it belongs to 'notes', and 'b' handles it too "
        "[notes: notes.find (notes.py:7) | b: b.find (b.py:7)]"
    )


def test_services_that_share_a_query_declare_it_alike() -> None:
    one, same = handles("query", "find", Find, int), handles("query", "find", Find, int, service="b")
    assert judge([], [one, same]) == []
    (found,) = judge([], [one, handles("query", "find", Find, str, service="b")])
    assert (found.problem, found.reason) == (
        Problem.DIFFERENT,
        "'notes' and 'b' both answer it, with different types",
    )


def test_what_is_not_known_is_not_judged() -> None:
    unknown = handles("query", "find", FindPage, str).without_schemas()
    assert judge([needs("query", "find", Find, int)], [unknown]) == []


def test_an_answer_that_is_wrong_as_a_whole_is_called_the_answer() -> None:
    found = judge([needs("query", "find", Find, int)], [handles("query", "find", Find, str)])
    assert [each.reason for each in found] == ["the answer is written as string, and read as integer"]
