"""In which order the dependencies of a handler are made, and what each of them is given.

A plan is a list of steps, and every step has a place: the message is at 0, the context at 1, and what the first step
made at 2. So a message costs what its steps cost, and no more: nothing is looked up. A plan is made when the handler is
declared, which proves that it can be, and again when an override has changed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeAlias

from cqrsbus.bus.dependency_graph import FromContext, FromDependency, FromMessage, Making, Node, Source, is_such
from cqrsbus.bus.depends import DependencyOverrides

MESSAGE: Final = 0
CONTEXT: Final = 1

Values: TypeAlias = list[Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One function, and where what it is called with has its places.

    Args:
        function: What is called.
        making: How.
        positional: The places of what is passed by position.
        named: The names of other parameters, each with the place of what it gets.
    """

    function: Callable[..., Any]
    making: Making
    positional: tuple[int, ...]
    named: tuple[tuple[str, int], ...]

    def bound(self, values: Values) -> Callable[[], Any]:
        """The function with its arguments.

        Args:
            values: What has its place by now.
        """
        positional = [values[place] for place in self.positional]
        return partial(self.function, *positional, **{name: values[place] for name, place in self.named})


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of one handler.

    Args:
        steps: Those that make its dependencies, in order.
        handler: The handler itself.
        has_clean_up: Whether anything is to be done after it.
        is_sync: Whether neither the handler nor what it depends on is asynchronous.
    """

    steps: tuple[Step, ...]
    handler: Step
    has_clean_up: bool
    is_sync: bool


_NO_OVERRIDES: Final = DependencyOverrides()


def plan_for(handler: Node, overrides: DependencyOverrides = _NO_OVERRIDES) -> Plan:
    """Put the dependencies of a handler into an order.

    Args:
        handler: The handler.
        overrides: What takes the place of a dependency.

    Raises:
        TypeError: A dependency takes a message that this handler's is not.
    """
    planning = _Planning(handler, overrides)
    last = planning.step(handler)
    steps = tuple(planning.steps)
    makings = {step.making for step in steps}
    return Plan(
        steps=steps,
        handler=last,
        has_clean_up=bool(makings & {Making.SYNC_GENERATOR, Making.ASYNC_GENERATOR}),
        is_sync=makings <= {Making.SYNC} and last.making is Making.SYNC,
    )


@dataclass(slots=True)
class _Planning:
    handler: Node
    overrides: DependencyOverrides
    steps: list[Step] = field(default_factory=list)
    shared: dict[Callable[..., Any], int] = field(default_factory=dict)
    #: Dependencies whose replacement is being planned: to that, they are themselves.
    replaced: list[Callable[..., Any]] = field(default_factory=list)

    def step(self, node: Node) -> Step:
        positional = tuple(self._place(source, node) for source in node.positional)
        named = tuple((name, self._place(source, node)) for name, source in node.named)
        return Step(node.function, node.making, positional, named)

    def _place(self, source: Source, node: Node) -> int:
        match source:
            case FromContext():
                return CONTEXT
            case FromMessage(annotation):
                self._check_message(node, annotation)
                return MESSAGE
            case FromDependency(dependency, use_cache):
                return self._shared(dependency) if use_cache else self._made(dependency)

    def _shared(self, node: Node) -> int:
        # What a replacement gets of what it replaces is not what others get of it.
        if node.function in self.replaced:
            return self._made(node)
        if node.function not in self.shared:
            self.shared[node.function] = self._made(node)
        return self.shared[node.function]

    def _made(self, node: Node) -> int:
        instead = None if node.function in self.replaced else self.overrides.node(node.function)
        if instead is None:
            step = self.step(node)
        else:
            self.replaced.append(node.function)
            step = self.step(instead)
            self.replaced.pop()
        self.steps.append(step)
        return CONTEXT + len(self.steps)

    def _check_message(self, node: Node, annotation: object) -> None:
        if node is self.handler or is_such(self._message(), annotation):
            return
        raise TypeError(
            f"{node} is a dependency of {self.handler} and has a parameter without a default that is neither annotated "
            f"with Depends, nor a Context, nor what the handler's message is: annotate it, or give it a default"
        )

    def _message(self) -> object:
        sources = (*self.handler.positional, *(source for _, source in self.handler.named))
        return next(source.annotation for source in sources if isinstance(source, FromMessage))
