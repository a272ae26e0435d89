"""Which callables can be handlers, and how they are named."""

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from cqrsbus.bus.callables import an, describe, listed, place


def decorated(value: int) -> Callable[[Callable[..., object]], Callable[..., object]]:
    return lambda function: function


def wrapping(function: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(function)
    def wrapper(*args: object, **kwargs: object) -> object:
        return function(*args, **kwargs)

    return wrapper


@decorated(
    1,
)
@decorated(2)
async def with_decorators(message: int) -> None: ...


def sync(message: int) -> None: ...


async def stream(message: int) -> AsyncIterator[int]:
    yield message


def generator(message: int) -> Iterator[int]:
    yield message


class Service:
    async def method(self, message: int) -> None: ...

    @classmethod
    async def of_class(cls, message: int) -> None: ...

    @staticmethod
    async def static(message: int) -> None: ...

    async def __call__(self, message: int) -> None: ...


def line_of(text: str) -> str:
    lines, _ = inspect.getsourcelines(inspect.getmodule(sync) or sync)
    return f"{__file__}:{next(number for number, line in enumerate(lines, 1) if text in line)}"


def test_the_location_is_that_of_the_def_below_its_decorators() -> None:
    described = describe(with_decorators)
    assert described.location == line_of("async def with_decorators")
    assert described.name == f"{__name__}.with_decorators"
    assert str(described) == place(with_decorators) == f"{described.name} ({described.location})"


@pytest.mark.parametrize(
    ("function", "is_async", "is_stream"),
    [
        pytest.param(sync, False, False, id="sync"),
        pytest.param(with_decorators, True, False, id="async"),
        pytest.param(stream, False, True, id="stream"),
        pytest.param(Service().method, True, False, id="bound method"),
        pytest.param(Service.of_class, True, False, id="bound classmethod"),
        pytest.param(Service.static, True, False, id="staticmethod"),
        pytest.param(Service.__dict__["static"], True, False, id="staticmethod object"),
        pytest.param(Service(), True, False, id="callable instance"),
        pytest.param(functools.partial(with_decorators), True, False, id="partial"),
        pytest.param(functools.partial(functools.partial(sync)), False, False, id="partial of partial"),
        pytest.param(wrapping(with_decorators), True, False, id="plain wrapper of async"),
        pytest.param(wrapping(stream), False, True, id="plain wrapper of stream"),
        pytest.param(functools.partial(Service().method), True, False, id="partial of bound method"),
        pytest.param(lambda message: None, False, False, id="lambda"),
    ],
)
def test_taken(function: Callable[..., object], is_async: bool, is_stream: bool) -> None:
    described = describe(function)
    assert (described.is_async, described.is_stream) == (is_async, is_stream)
    assert described.function is function
    assert described.location.startswith(f"{__file__}:")


@pytest.mark.parametrize(
    ("function", "name", "text"),
    [
        (functools.partial(sync), "sync", "def sync"),
        (wrapping(sync), "sync", "def sync"),
        (Service().method, "Service.method", "async def method"),
        (Service(), "Service.__call__", "async def __call__"),
        (Service.__dict__["static"], "Service.static", "async def static"),
    ],
)
def test_named_after_what_somebody_wrote(function: Callable[..., object], name: str, text: str) -> None:
    assert place(function) == f"{__name__}.{name} ({line_of(text)})"


def test_a_builtin_has_no_source() -> None:
    assert place(print) == "builtins.print (no source)"


def test_a_function_whose_source_is_gone_is_where_its_code_says() -> None:
    names: dict[str, object] = {"__name__": "gone"}
    exec(compile("@str\ndef text(): ...\ndef handler(): ...", "<made up>", "exec"), names)
    assert place(names["handler"]) == "gone.handler (<made up>:3)"


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (Service, f"{__name__}.Service is a class: a handler is a function"),
        (3, "a handler is a function, not 3"),
    ],
)
def test_refused(function: object, reason: str) -> None:
    with pytest.raises(TypeError) as caught:
        describe(function)
    assert str(caught.value) == reason


def test_a_classmethod_object_is_refused() -> None:
    with pytest.raises(TypeError) as caught:
        describe(Service.__dict__["of_class"])
    assert str(caught.value) == (
        f"{__name__}.Service.of_class ({line_of('async def of_class')}) is a classmethod object, "
        f"which cannot be called: register Class.method"
    )


@pytest.mark.parametrize("function", [generator, functools.partial(generator), wrapping(generator)])
def test_a_sync_generator_is_refused(function: Callable[..., object]) -> None:
    with pytest.raises(TypeError) as caught:
        describe(function)
    assert str(caught.value) == (
        f"{__name__}.generator ({line_of('def generator')}) is a sync generator: write 'async def' to stream answers"
    )


def test_words() -> None:
    assert (an("event"), an("command")) == ("an event", "a command")
    assert listed(["a", "b"]) == "'a', 'b'"
