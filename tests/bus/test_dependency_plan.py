"""The order in which dependencies are made."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

from cqrsbus import Context, DependencyOverrides, Depends
from cqrsbus.bus.dependency_plan import Plan, plan_for
from cqrsbus.bus.handler import HandlerKind
from cqrsbus.bus.signature import analyse


def first() -> str:
    return "first"


def second(first: Annotated[str, Depends(first)]) -> str:
    return first


def third(first: Annotated[str, Depends(first)], second: Annotated[str, Depends(second)]) -> str:
    return first + second


def plan_of(handler: Callable[..., Any], overrides: DependencyOverrides | None = None) -> Plan:
    node = analyse(handler, HandlerKind.COMMAND).dependencies
    assert node is not None
    return plan_for(node) if overrides is None else plan_for(node, overrides)


def test_what_is_needed_comes_first_and_once() -> None:
    def handler(
        message: str, ctx: Context, third: Annotated[str, Depends(third)], again: Annotated[str, Depends(second)]
    ) -> None: ...

    plan = plan_of(handler)
    assert [step.function for step in plan.steps] == [first, second, third]
    assert plan.steps[2].named == (("first", 2), ("second", 3))
    assert plan.handler.named == (("message", 0), ("ctx", 1), ("third", 4), ("again", 3))


def test_what_is_not_shared_comes_again() -> None:
    def handler(
        message: str, a: Annotated[str, Depends(first)], b: Annotated[str, Depends(first, use_cache=False)]
    ) -> None: ...

    plan = plan_of(handler)
    assert [step.function for step in plan.steps] == [first, first]
    assert plan.handler.named == (("message", 0), ("a", 2), ("b", 3))


def test_a_replacement_of_one_is_no_replacement_of_another() -> None:
    def handler(message: str, third: Annotated[str, Depends(third)]) -> None: ...

    def instead(real: Annotated[str, Depends(second)]) -> str:
        return real

    overrides = DependencyOverrides()
    overrides[second] = instead
    # The second is made for its replacement, and the first, which both need, once.
    assert [step.function for step in plan_of(handler, overrides).steps] == [first, second, instead, third]


def test_whether_there_is_clean_up_and_whether_all_is_sync() -> None:
    def generator() -> Iterator[str]:
        yield ""

    async def async_generator() -> AsyncIterator[str]:
        yield ""

    async def asynchronous() -> str:
        return ""

    def sync_handler(dependency: Callable[..., Any]) -> Callable[..., Any]:
        def handler(message: str, made: Annotated[str, Depends(dependency)]) -> None: ...

        return handler

    async def async_handler(message: str, made: Annotated[str, Depends(first)]) -> None: ...

    def facts(handler: Callable[..., Any]) -> tuple[bool, bool]:
        plan = plan_of(handler)
        return plan.has_clean_up, plan.is_sync

    assert facts(sync_handler(first)) == (False, True)
    assert facts(sync_handler(asynchronous)) == (False, False)
    assert facts(sync_handler(generator)) == (True, False)
    assert facts(sync_handler(async_generator)) == (True, False)
    assert facts(async_handler) == (False, False)
