"""The key of a message, and which ``ordered_by`` is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Generic, TypedDict, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict, PrivateAttr, computed_field

from cqrsbus.bus.handler import Handler
from cqrsbus.bus.ordering import check_ordered_by, key_function
from cqrsbus.bus.registry import HandlerGroup
from cqrsbus.errors import TopologyError
from cqrsbus.messages import Event

T = TypeVar("T")


class Paid(Event):
    customer: str = "c"

    _kept: int = PrivateAttr(3)

    @property
    def initial(self) -> str:
        return self.customer[0]

    @computed_field
    def shout(self) -> str:
        return self.customer.upper()


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")


class Box(BaseModel, Generic[T]):
    content: T


@dataclass
class Point:
    x: int = 1


class Row(TypedDict):
    key: str


def handler(declared: Any, ordered_by: Any = None) -> Handler:
    def handle(message: object) -> None: ...

    handle.__annotations__["message"] = declared
    group = HandlerGroup()
    group.event_handler("t", ordered_by=ordered_by)(handle)
    return group.handlers[0]


@pytest.mark.parametrize(
    ("ordered_by", "message", "key"),
    [
        ("customer", Paid(customer="ann"), "ann"),
        ("initial", Paid(customer="ann"), "a"),
        ("x", Point(4), 4),
        ("key", Row(key="k"), "k"),
        ("items", {"items": 3}, 3),
        (lambda message: (message.x, 1), Point(4), (4, 1)),
        (lambda message: None, Point(4), None),
    ],
)
def test_the_key_of_a_message(ordered_by: Any, message: object, key: object) -> None:
    assert key_function(handler(Any), ordered_by)(message) == key


def test_a_key_that_cannot_be_hashed_is_an_error_that_names_the_handler() -> None:
    with pytest.raises(TypeError, match=r"ordered_by of .*handle \(.*test_ordering\.py:\d+\) gave list, which cannot"):
        key_function(handler(Any), unhashable)(1)


@pytest.mark.parametrize(("ordered_by", "error"), [("gone", KeyError), (lambda message: 1 // 0, ZeroDivisionError)])
def test_what_the_function_raises_is_raised(ordered_by: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        key_function(handler(Any), ordered_by)({})


@pytest.mark.parametrize(
    ("declared", "name"),
    [
        (Paid, "customer"),
        (Paid, "initial"),
        (Paid, "shout"),
        (Annotated[Paid, "note"], "customer"),
        (Point, "x"),
        (Row, "key"),
        (Box[int], "content"),
        (Loose, "anything"),
        (Paid | dict[str, str], "customer"),
        (dict[str, int], "anything"),
        (Mapping[str, int], "anything"),
        (Any, "anything"),
        (object, "anything"),
        (int, "real"),
    ],
)
def test_fields_that_may_be_there(declared: object, name: str) -> None:
    assert handler(declared, name).ordered_by == name


@pytest.mark.parametrize(
    ("declared", "name", "has"),
    [
        (Paid, "custommer", r"Paid has no such field: it has 'customer', 'shout'"),
        (Annotated[Paid, "note"], "gone", "Paid has no such field"),
        (Point, "y", "Point has no such field: it has 'x'"),
        (Row, "items", "Row has no such field: it has 'key'"),
        (Box[int], "gone", r"Box\[int\] has no such field: it has 'content'"),
        (int, "customer", "int has no such field: it has none"),
        (list[int], "customer", "list has no such field"),
        (Paid | Point, "customer", "Point has no such field"),
        (Paid | None, "customer", "NoneType has no such field"),
    ],
)
def test_fields_that_are_certainly_not_there(declared: object, name: str, has: str) -> None:
    with pytest.raises(TopologyError, match=rf"handle \(.*test_ordering\.py:\d+\) is ordered by '{name}', and .*{has}"):
        handler(declared, name)


def unhashable(message: object) -> Any:
    return [message]


async def not_plain(message: object) -> int:
    return 1


@pytest.mark.parametrize("ordered_by", [3, ("a", "b"), not_plain])
def test_what_is_neither_a_name_nor_a_function(ordered_by: object) -> None:
    with pytest.raises(TypeError, match="a field's name or a plain function, not"):
        handler(Any, ordered_by)


def test_any_callable_will_do() -> None:
    by: Any = partial(getattr, Point(7))
    check_ordered_by(handler(Any, by))
    assert key_function(handler(Any), by)("x") == 7
