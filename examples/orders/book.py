"""The order book: how far each order is, and who wants to know."""

from collections.abc import AsyncGenerator
from typing import Final

import anyio

from examples.orders.messages import OrderExists, Step

_LAST: Final[frozenset[Step]] = frozenset({"confirmed", "undone", "stuck"})


class Book:
    """All orders; one for each process."""

    def __init__(self) -> None:
        self._steps: dict[str, list[Step]] = {}
        self._changed = anyio.Event()

    def open(self, order: str) -> None:
        """Begin an order.

        Raises:
            OrderExists: There is one of that name.
        """
        if order in self._steps:
            raise OrderExists(order)
        self._steps[order] = []
        self.note(order, "placed")

    def note(self, order: str, step: Step) -> None:
        """Write down that an order has come to a step."""
        self._steps[order].append(step)
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    def steps(self, order: str) -> list[Step]:
        """The steps that an order has made; none if it is not known."""
        return list(self._steps.get(order, []))

    async def follow(self, order: str) -> AsyncGenerator[Step]:
        """Yield the steps of an order, from the first on, as they are made."""
        seen = 0
        while True:
            changed = self._changed
            for step in self.steps(order)[seen:]:
                seen += 1
                yield step
                if step in _LAST:
                    return
            await changed.wait()
