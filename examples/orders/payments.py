"""The service "payments": charges cards, and gives back.

- Each message has a transaction of its own, and a bank to ask; both are
  dependencies, so that tests bring their own.
- Charges of one customer are in order, so that no two of them together exceed the
  limit. Other customers need not wait for a slow bank.
- A charge whose caller has left is cancelled while the bank thinks about it: no
  money has moved then.
"""

from typing import Annotated, Protocol, TypeAlias

import anyio
from anyio.to_thread import run_sync

from cqrsbus import Bus, Depends
from examples.orders.ledger import Ledger, open_ledger
from examples.orders.messages import CardDeclined, Charge, Paid, Refund
from examples.orders.service import audit, serve


class Bank(Protocol):
    """Who knows whether a card is good."""

    async def authorize(self, card: str, cents: int) -> None:
        """Return if the card may be charged, else raise CardDeclined."""
        ...


class ToyBank:
    """It declines the card "expired", and takes its time for the card "slow"."""

    async def authorize(self, card: str, cents: int) -> None:
        """See :meth:`Bank.authorize`."""
        await anyio.sleep(30 if card == "slow" else 0.01)
        if card == "expired":
            raise CardDeclined("the card has expired")


async def the_bank() -> Bank:
    """The bank that production asks."""
    return ToyBank()


Books: TypeAlias = Annotated[Ledger, Depends(open_ledger)]
TheBank: TypeAlias = Annotated[Bank, Depends(the_bank)]

bus = Bus("payments")
bus.handling_middleware(audit)


@bus.command_handler(concurrency=16, ordered_by="customer", on_cancel="cancel")
async def charge(command: Charge, ledger: Books, bank: TheBank) -> None:
    customer, cents = command.customer, command.cents
    await run_sync(ledger.check_limit, customer, cents)
    await bank.authorize(command.card, cents)
    await run_sync(ledger.charge, command.order, customer, cents)


@bus.command_handler()
def refund(command: Refund, ledger: Books) -> None:
    ledger.refund(command.order)


@bus.query_handler()
def paid(query: Paid, ledger: Books) -> int:
    return ledger.paid(query.order)


if __name__ == "__main__":
    serve(bus)
