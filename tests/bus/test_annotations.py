"""Annotations are resolved in the names that their function sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, get_type_hints

import pytest
from pydantic import BaseModel

from cqrsbus.bus.annotations import UnresolvedError, bare, resolve

if TYPE_CHECKING:
    from decimal import Decimal


class AtModuleLevel(BaseModel):
    pass


def annotation_of(function: Callable[..., object]) -> object:
    return resolve(next(iter(function.__annotations__.values())), function)


def test_a_name_of_the_module() -> None:
    def handler(message: AtModuleLevel) -> None: ...

    assert annotation_of(handler) is AtModuleLevel


def test_a_local_name_that_no_closure_keeps() -> None:
    class Local(BaseModel):
        pass

    def handler(message: Local) -> None: ...

    assert handler.__closure__ is None
    with pytest.raises(NameError):
        get_type_hints(handler)
    assert annotation_of(handler) is Local


def test_a_local_name_that_the_closure_keeps_after_its_scope_has_ended() -> None:
    def declare() -> tuple[Callable[..., object], type]:
        class Local(BaseModel):
            pass

        def handler(message: Local) -> object:
            return Local

        return handler, Local

    handler, local = declare()
    assert annotation_of(handler) is local


def test_a_function_that_calls_itself_is_in_its_closure_before_it_has_a_name() -> None:
    found: list[object] = []

    def look(function: Callable[..., object]) -> Callable[..., object]:
        found.append(annotation_of(function))
        return function

    @look
    def handler(message: AtModuleLevel) -> object:
        return handler

    assert found == [AtModuleLevel]


def test_a_local_name_of_a_scope_that_has_ended_is_not_found() -> None:
    def declare() -> Callable[..., object]:
        class Gone(BaseModel):
            pass

        def handler(message: Gone) -> None: ...

        return handler

    with pytest.raises(UnresolvedError, match="name 'Gone' is not defined"):
        annotation_of(declare())


def test_the_innermost_scope_wins() -> None:
    class Message(BaseModel):
        pass

    outer = Message

    def declare() -> tuple[object, type]:
        class Message(BaseModel):
            pass

        def handler(message: Message) -> None: ...

        return annotation_of(handler), Message

    found, inner = declare()
    assert found is inner
    assert found is not outer


def test_names_of_a_class_body_around_the_def() -> None:
    found: list[object] = []

    def look(function: Callable[..., object]) -> Callable[..., object]:
        found.append(annotation_of(function))
        return function

    class Service:
        class Message(BaseModel):
            pass

        @staticmethod
        @look
        def handler(message: Message) -> None: ...

    assert found == [Service.Message]


def test_names_of_a_caller_that_does_not_enclose_the_def_are_not_seen() -> None:
    def declare() -> Callable[..., object]:
        def handler(message: "CallersOwn") -> None: ...  # type: ignore[name-defined]  # noqa: F821, UP037

        return handler

    def call() -> type:
        class CallersOwn(BaseModel):
            pass

        annotation_of(declare())
        return CallersOwn

    with pytest.raises(UnresolvedError, match="CallersOwn"):
        call()


def test_a_name_imported_for_type_checkers_alone_is_not_found() -> None:
    def handler(message: Decimal) -> None: ...

    with pytest.raises(UnresolvedError, match="name 'Decimal' is not defined"):
        annotation_of(handler)


@pytest.mark.parametrize("text", ["int |", "missing.Name", "int.missing", "1 / 0"])
def test_whatever_cannot_be_evaluated_is_one_error(text: str) -> None:
    with pytest.raises(UnresolvedError, match=r".+"):
        resolve(text, annotation_of)


def test_builtins_are_found_without_a_function() -> None:
    assert resolve("list[int]", None) == list[int]


def test_annotated_is_kept_and_can_be_taken_off() -> None:
    assert resolve("Annotated[int, 'positive']", annotation_of) == Annotated[int, "positive"]
    assert bare(Annotated[Annotated[int, 1], 2]) is int
    assert bare(int) is int
