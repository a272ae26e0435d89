"""What one warehouse has, and for whom it has set some of it aside.

What is left and what is set aside make up the same sum at any time. An order that
has been put back is remembered: what arrives for it later, because messages on two
topics may overtake each other, is refused.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from examples.orders.messages import OrderUndone, OutOfStock, Shelf


class Warehouse:
    """The shelves of one place.

    Args:
        name: What it is called; a part of its topics.
        items: What lies there, by item.
    """

    def __init__(self, name: str, items: Mapping[str, int]) -> None:
        self.name = name
        self._left = Counter(items)
        self._aside: dict[str, Counter[str]] = {}
        self._undone: set[str] = set()

    def shelf(self, items: Iterable[str]) -> Shelf:
        """How much of some items is left."""
        left = {item: self._left[item] for item in items}
        return Shelf(warehouse=self.name, left=left)

    def aside(self, item: str) -> int:
        """How much of an item is set aside."""
        return sum(items[item] for items in self._aside.values())

    def set_aside(self, order: str, item: str, quantity: int) -> None:
        """Set an item aside for an order; doing it again changes nothing.

        Raises:
            OrderUndone: The order has been put back before.
            OutOfStock: There is too little.
        """
        if order in self._undone:
            raise OrderUndone(order)
        if item in self._aside.get(order, ()):
            return
        if self._left[item] < quantity:
            raise OutOfStock(item, self._left[item])
        self._left[item] -= quantity
        self._aside.setdefault(order, Counter())[item] = quantity

    def put_back(self, order: str) -> None:
        """Put back all that is set aside for an order, now and ever after."""
        self._undone.add(order)
        self._left += self._aside.pop(order, Counter())
