"""What an application says of dependencies: where one is needed, and what takes its place in tests."""

from collections.abc import Callable, Generator, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

if TYPE_CHECKING:
    from cqrsbus.bus.dependency_graph import Node

#: The marks of other libraries that mean a dependency, each with what it depends on.
_MARKS: dict[type, Callable[[Any, Any], "Depends"]] = {}


@dataclass(frozen=True, slots=True)
class Depends:
    """Says that a parameter gets what a function returns or yields: ``Annotated[Session, Depends(open_session)]``.

    Args:
        dependency: A function or class, sync or async, or a generator that yields once: what it does after that is
            its clean-up, and comes after the handler. A sync one runs in a worker thread.
        use_cache: Whether all who depend on it share what it returned for this message and handler.
    """

    dependency: Callable[..., Any]
    use_cache: bool = True

    def __str__(self) -> str:
        name = getattr(self.dependency, "__qualname__", repr(self.dependency)).rpartition(">.")[2]
        return f"Depends({name}{'' if self.use_cache else ', use_cache=False'})"


def read_mark(mark: type, read: Callable[[Any, Any], Depends]) -> None:
    """Let the marks of another library, inside of ``Annotated``, mean a dependency.

    Args:
        mark: Their class.
        read: Makes the dependency of an annotated type and a mark.
    """
    _MARKS[mark] = read


def depends_in(annotation: object) -> list[Depends]:
    """Return what an annotation says that it depends on."""
    if get_origin(annotation) is not Annotated:
        return []
    kind, *marks = get_args(annotation)
    found = [mark if isinstance(mark, Depends) else _read(kind, mark) for mark in marks]
    return [depends for depends in found if depends is not None]


def is_misplaced_in(annotation: object) -> bool:
    """Whether an annotation has a dependency where nobody would look for it: in a part of it, or without a function."""
    if get_origin(annotation) is not Annotated:
        return any(_mentions_dependency(part) for part in get_args(annotation))
    kind, *marks = get_args(annotation)
    return _mentions_dependency(kind) or any(mark is Depends for mark in marks)


def _mentions_dependency(annotation: object) -> bool:
    return bool(depends_in(annotation)) or is_misplaced_in(annotation)


def _read(kind: object, mark: object) -> Depends | None:
    read = _MARKS.get(type(mark))
    return None if read is None else read(kind, mark)


class DependencyOverrides(MutableMapping[Callable[..., Any], Callable[..., Any]]):
    """What is called in place of which dependency, on one bus; it may be changed while the bus runs.

    A replacement has dependencies of its own. Where it depends on what it replaces, it gets the real one.
    """

    def __init__(self) -> None:
        self._nodes: dict[Callable[..., Any], Node] = {}
        self._provided: dict[Callable[..., Any], Node] = {}
        #: Grows with every change.
        self.version = 0

    def node(self, dependency: Callable[..., Any]) -> "Node | None":
        """What is in the place of a dependency; None if nothing is."""
        return self._nodes.get(dependency) or self._provided.get(dependency)

    def provide(self, dependency: Callable[..., Any], replacement: Callable[..., Any]) -> None:
        """Let a bus have its own make of a dependency, for good: it is no override, and ``clear`` leaves it.

        Args:
            dependency: What ``Depends`` was given.
            replacement: What is called instead.

        Raises:
            TypeError: The replacement can never be called.
        """
        from cqrsbus.bus.dependency_graph import analyse_dependency

        self._provided = {**self._provided, dependency: analyse_dependency(replacement)}
        self.version += 1

    @contextmanager
    def scope(self, dependency: Callable[..., Any], replacement: Callable[..., Any]) -> Generator[None]:
        """Put a replacement in the place of a dependency for as long as the block lasts."""
        before = self.get(dependency)
        self[dependency] = replacement
        try:
            yield
        finally:
            if before is None:
                self.pop(dependency, None)
            else:
                self[dependency] = before

    def __getitem__(self, dependency: Callable[..., Any]) -> Callable[..., Any]:
        return self._nodes[dependency].function

    def __setitem__(self, dependency: Callable[..., Any], replacement: Callable[..., Any]) -> None:
        from cqrsbus.bus.dependency_graph import analyse_dependency

        self._nodes = {**self._nodes, dependency: analyse_dependency(replacement)}
        self.version += 1

    def __delitem__(self, dependency: Callable[..., Any]) -> None:
        if dependency not in self._nodes:
            raise KeyError(dependency)
        self._nodes = {known: node for known, node in self._nodes.items() if known != dependency}
        self.version += 1

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def __repr__(self) -> str:
        return f"DependencyOverrides({dict(self)!r})"
