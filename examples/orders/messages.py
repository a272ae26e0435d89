"""What the shop's services say to each other: the only module that all of them share.

An order has one name in all services, given by its customer. Everything that is done for it can be undone by that name,
whether it was done, was done in part, or is still on its way.
"""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, Field, PositiveInt

from cqrsbus import Command, Query

#: How far an order is.
Step: TypeAlias = Literal["placed", "reserved", "confirmed", "undone", "stuck"]

#: What is ordered, and how much of each.
Items: TypeAlias = Annotated[dict[str, PositiveInt], Field(min_length=1)]


class OrderExists(Exception):
    """There was an order of this name before."""

    def __init__(self, order: str) -> None:
        super().__init__(f"{order} was placed before")
        self.order = order


class OrderUndone(Exception):
    """The order has been undone: nothing is done for it any more, also not what comes late."""

    def __init__(self, order: str) -> None:
        super().__init__(f"{order} has been undone")
        self.order = order


class OutOfStock(Exception):
    """No warehouse has as much as was ordered."""

    def __init__(self, item: str, left: int) -> None:
        super().__init__(f"{left} of {item} left")
        self.item = item
        self.left = left


class CardDeclined(Exception):
    """The card cannot be charged."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PlaceOrder(Command, topic="order.place", raises=(OutOfStock, CardDeclined, OrderExists)):
    """Reserve, charge, confirm; or leave everything as it was."""

    order: str
    customer: str
    card: str
    items: Items


class FollowOrder(Query[Step], topic="order.follow"):
    """The steps of an order, as a stream that ends with it; one that is not placed yet is waited for."""

    order: str


class Reserve(Command, topic="stock.reserve", raises=(OutOfStock, OrderUndone)):
    """Set aside every item of an order, each in one of the warehouses."""

    order: str
    items: Items


class Release(Command, topic="stock.release"):
    """Put back what is set aside for an order, in every warehouse."""

    order: str


class Shelf(BaseModel):
    """What one warehouse has left."""

    warehouse: str
    left: dict[str, int]


class OnHand(Query[Shelf], topic="stock.on-hand"):
    """How much is left? Every warehouse answers."""

    items: list[str]


class SetAside(Command, raises=(OutOfStock, OrderUndone)):
    """Set something aside in one warehouse, whose topic is ``stock.NAME.set-aside``."""

    order: str
    item: str
    quantity: PositiveInt


class PutBack(Command):
    """Put back what one warehouse has set aside; its topic is ``stock.NAME.put-back``."""

    order: str


class Charge(Command, topic="payment.charge", raises=(CardDeclined, OrderUndone)):
    """Take money for an order."""

    order: str
    customer: str
    card: str
    cents: PositiveInt


class Refund(Command, topic="payment.refund"):
    """Give back what was taken for an order."""

    order: str


class Paid(Query[int], topic="payment.paid"):
    """How many cents have been taken for an order, and not been given back?"""

    order: str
