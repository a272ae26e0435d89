"""An order as a saga: steps in two other services, each of which can be undone.

- Whoever begins the steps undoes them, whatever keeps the order from being
  confirmed: an error, a caller who leaves, or time that runs out. The latter two
  reach the step that is under way as well.
- A step that was cancelled may have been done, or may still be on its way. So
  everything is undone, not only what is known to be done. Undoing what never was
  does no harm, and keeps it from being done later.
- Undoing is shielded. It is tried again until it is done: the other service may
  just be starting anew. What cannot be undone in time is stuck, and a matter for
  people.
"""

import logging
from typing import Final

import anyio
from anyio import create_task_group

from cqrsbus import Bus, BusError, Command, Context
from examples.orders.book import Book
from examples.orders.messages import Charge, PlaceOrder, Refund, Release, Reserve

log = logging.getLogger(__name__)

#: Seconds for a step, if the order has no deadline that is tighter.
STEP_WITHIN: Final = 60.0
#: Seconds for undoing.
UNDO_WITHIN: Final = 10.0
#: Seconds for one try of it.
TRY_WITHIN: Final = 2.0
#: Seconds before undoing is tried again.
PAUSE: Final = 0.2
#: What things cost, in cents.
PRICES: Final = {"tea": 450, "lamp": 8_900}


async def place(bus: Bus, book: Book, command: PlaceOrder, ctx: Context) -> None:
    """Bring an order to its end: confirmed, or undone."""
    order = command.order
    reserve = Reserve(order=order, items=command.items)
    book.open(order)
    try:
        await bus.send(reserve, wait=True, timeout=STEP_WITHIN)
        book.note(order, "reserved")
        await bus.send(charge_for(command), wait=True, timeout=STEP_WITHIN)
    except BaseException:
        await undo(bus, book, order, ctx)
        raise
    book.note(order, "confirmed")


def charge_for(command: PlaceOrder) -> Charge:
    """What is to be paid for an order."""
    return Charge(
        order=command.order,
        customer=command.customer,
        card=command.card,
        cents=sum(PRICES[item] * number for item, number in command.items.items()),
    )


async def undo(bus: Bus, book: Book, order: str, ctx: Context) -> None:
    """Leave nothing of an order."""
    try:
        with ctx.shielded(UNDO_WITHIN):
            async with create_task_group() as tasks:
                tasks.start_soon(insist, bus, Refund(order=order))
                tasks.start_soon(insist, bus, Release(order=order))
    except TimeoutError:
        log.error("%s is not undone within %g s: look after it", order, UNDO_WITHIN)
        book.note(order, "stuck")
    else:
        book.note(order, "undone")


async def insist(bus: Bus, command: Command) -> None:
    """Send a command until it was handled; for one that may be handled twice."""
    while True:
        try:
            await bus.send(command, wait=True, timeout=TRY_WITHIN)
            return
        except BusError as error:
            log.warning("%s, to be tried again", error)
            await anyio.sleep(PAUSE)
