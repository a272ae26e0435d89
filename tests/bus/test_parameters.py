"""Parameters, with what their annotations mean."""

import functools
from inspect import Parameter
from typing import Annotated, Any, Optional

import pytest

from cqrsbus import Context, Depends
from cqrsbus.bus.callables import look_through
from cqrsbus.bus.parameters import depends_of, is_context, parameters_of


def made() -> str:
    return "made"


def of(function: object) -> dict[str, Parameter]:
    assert callable(function)
    return {parameter.name: parameter for parameter in parameters_of(look_through(function))}


def test_annotations_are_resolved_and_what_gathers_is_left_out() -> None:
    def function(a: "int", b: "Annotated[str, Depends(made)]", *args: str, c, **kwargs: str) -> None: ...  # type: ignore[no-untyped-def]  # pyright: ignore[reportUnknownParameterType, reportMissingParameterType]

    found = of(function)
    assert list(found) == ["a", "b", "c"]
    assert found["a"].annotation is int
    assert found["c"].annotation is Parameter.empty


def test_which_are_the_context() -> None:
    def function(a: Context, b: Context | None, c: "Annotated[Context, 'x']", d: object, e: Context | int) -> None: ...

    assert {name: is_context(parameter) for name, parameter in of(function).items()} == {
        "a": True,
        "b": True,
        "c": True,
        "d": False,
        "e": False,
    }


def test_which_depend_on_something() -> None:
    def function(a: Annotated[str, "x", Depends(made)], b: Annotated[str, "x"], c: str) -> None: ...

    described = look_through(function)
    found = {parameter.name: depends_of(described, parameter) for parameter in parameters_of(described)}
    assert found == {"a": Depends(made), "b": None, "c": None}


@pytest.mark.parametrize(
    "annotation",
    [
        Optional[Annotated[str, Depends(made)]],  # noqa: UP045  # pyright takes '|' for one of values here
        list[Annotated[str, Depends(made)]],
        Annotated[dict[str, Annotated[str, Depends(made)] | None], "x"],
        Annotated[str, Depends],
    ],
)
def test_a_dependency_that_would_not_count_is_refused(annotation: Any) -> None:
    def function(a: Any = None) -> None: ...

    function.__annotations__["a"] = annotation
    described = look_through(function)
    (parameter,) = parameters_of(described)
    with pytest.raises(TypeError, match=r"'a' of .*test_parameters.py:\d+\) has a dependency where it does not count"):
        depends_of(described, parameter)


def test_those_of_a_class_are_those_it_is_made_with() -> None:
    class Made:
        def __init__(self, ctx: "Context", limit: int = 5) -> None: ...

    found = of(Made)
    assert list(found) == ["ctx", "limit"]
    assert is_context(found["ctx"])
    assert "test_parameters.py:" in str(look_through(Made))


def test_a_partial_has_fewer() -> None:
    def function(a: int, b: str) -> None: ...

    assert list(of(functools.partial(function, 1))) == ["b"]


def test_what_is_not_found_matters_only_where_it_decides() -> None:
    def harmless(a: "nowhere" = 1) -> None: ...  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable]

    assert of(harmless)["a"].annotation is Parameter.empty

    def harmful(a: "Annotated[str, Depends(nowhere)]" = "") -> None: ...  # noqa: F821  # pyright: ignore[reportUndefinedVariable]

    with pytest.raises(TypeError, match=r"'a' of .*harmful .*nowhere"):
        of(harmful)
