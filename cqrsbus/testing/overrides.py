"""Fakes in the place of dependencies, for as long as a test runs."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

from cqrsbus.bus.bus import Bus
from cqrsbus.bus.dependency_graph import FromDependency, Node

Overrides: TypeAlias = Mapping[Callable[..., Any], Callable[..., Any]]


@contextmanager
def overridden(bus: Bus, overrides: Overrides) -> Generator[None]:
    """Put fakes in the place of a bus' dependencies."""
    with ExitStack() as stack:
        for dependency, fake in overrides.items():
            stack.enter_context(bus.override_dependency(dependency, fake))
        yield


def check_overrides(overrides: Overrides, buses: Sequence[Bus]) -> None:
    """Refuse a fake for what nobody depends on: the test would use the real one, and not know.

    Raises:
        ValueError: There is such a fake.
    """
    nodes = [handler.dependencies for bus in buses for handler in bus.handlers if handler.dependencies is not None]
    known = {function for node in nodes for function in _depended_on(node)}
    for dependency in overrides:
        if dependency not in known:
            name = getattr(dependency, "__qualname__", repr(dependency))
            raise ValueError(f"overrides has {name}, but no handler of these buses depends on it")


def _depended_on(node: Node) -> Iterator[Callable[..., Any]]:
    for source in (*node.positional, *(source for _, source in node.named)):
        if isinstance(source, FromDependency):
            yield source.node.function
            yield from _depended_on(source.node)
