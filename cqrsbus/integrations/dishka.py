"""Dishka: what a handler's parameters are annotated with as ``FromDishka[T]`` comes from a container.

- ``setup_dishka(container, bus)`` once; then every handler of the bus may use ``FromDishka[T]``, also in what it
  depends on by ``Depends``. No ``@inject`` is needed. Declare handlers after this module was imported: it tells the
  bus what the annotation means.
- Each message that a handler uses it for has a container of its own, in the scope REQUEST, closed when the handler has
  ended and before the message is answered or acknowledged, as any dependency is: see :mod:`cqrsbus.bus.dependencies`.
- The container is given the Context and the message; a ``BusProvider`` hands them to other factories.
- The container is closed by who made it: it may serve several buses.

On trio dishka needs to be told of a lock that works there: ``make_async_container(..., lock_factory=anyio.Lock)``.
"""

from collections.abc import AsyncGenerator, Callable
from functools import cache
from typing import Annotated, Any, Final

from cqrsbus.bus.bus import Bus
from cqrsbus.bus.context import Context
from cqrsbus.bus.depends import Depends, read_mark

try:
    from dishka import AsyncContainer, FromComponent, FromDishka, Provider, Scope
except ImportError as error:
    raise ImportError("cqrsbus.integrations.dishka needs dishka: pip install 'cqrsbus[di]'") from error

__all__ = ["BusProvider", "FromDishka", "setup_dishka"]


class BusProvider(Provider):
    """Hands the Context of a message, and the message, to the factories of a container.

    Args:
        *messages: The classes of messages that factories take; a subclass counts as its base.
    """

    scope = Scope.REQUEST

    def __init__(self, *messages: type) -> None:
        super().__init__()
        for provided in (Context, *messages):
            self.from_context(provides=provided)


def setup_dishka(container: AsyncContainer, bus: Bus) -> None:
    """Let the handlers of a bus have what a container makes.

    Args:
        container: Where ``FromDishka[T]`` comes from; it is not closed with the bus.
        bus: Whose handlers use it.

    Raises:
        TypeError: The container is none, or not an asynchronous one.
    """
    if not isinstance(container, AsyncContainer):
        raise TypeError(f"setup_dishka() takes what make_async_container() makes, not {container!r}")

    async def made() -> AsyncContainer:
        return container

    bus.dependency_overrides.provide(_container_of_bus, made)


async def _container_of_bus() -> AsyncContainer:
    raise RuntimeError("FromDishka needs a container: call setup_dishka(container, bus) first")


async def _container_of_message(
    container: Annotated[AsyncContainer, Depends(_container_of_bus)], context: Context, message: object
) -> AsyncGenerator[AsyncContainer]:
    given: dict[Any, Any] = dict.fromkeys(type(message).__mro__[:-1], message)
    async with container({**given, Context: context}, scope=Scope.REQUEST) as own:
        yield own


@cache
def _getter(kind: Any, component: str) -> Callable[..., Any]:
    async def get(container: Annotated[AsyncContainer, Depends(_container_of_message)]) -> object:
        made: object = await container.get(kind, component)
        return made

    get.__qualname__ = f"FromDishka[{getattr(kind, '__qualname__', kind)}]"
    return get


def _depends(kind: object, mark: Any) -> Depends:
    return Depends(_getter(kind, mark.component))


_MARK: Final = type(FromComponent())
read_mark(_MARK, _depends)
