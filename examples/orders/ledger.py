"""What has been taken for which order: one row each, in SQLite.

A row is never deleted. An order that was refunded stays so: what is charged for it later, because messages on two
topics may overtake each other, is refused.
"""

import os
import sqlite3
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Final

from cqrsbus import Depends
from examples.orders.messages import CardDeclined, OrderUndone

#: What one customer may owe, in cents.
LIMIT: Final = 50_000

_TABLE: Final = """
create table if not exists payments (
    order_name text primary key,
    customer text not null,
    cents integer not null check (cents >= 0),
    refunded integer not null
)
"""


class Ledger:
    """One transaction on the payments.

    Args:
        connection: A connection to them.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute(_TABLE)

    def check_limit(self, customer: str, cents: int) -> None:
        """Raise CardDeclined if that much more is more than a customer may owe."""
        owed = self._one("select sum(cents) from payments where customer = ? having count(*) > 0", customer)
        if cents + (0 if owed is None else owed[0]) > LIMIT:
            raise CardDeclined("over the limit")

    def charge(self, order: str, customer: str, cents: int) -> None:
        """Take money for an order; doing it again changes nothing.

        Raises:
            OrderUndone: It has been refunded before.
        """
        # From the first statement on, everybody else waits for the end of this transaction.
        row = (order, customer, cents)
        self._connection.execute("insert into payments values (?, ?, ?, 0) on conflict do nothing", row)
        if self._one("select refunded from payments where order_name = ?", order) == (1,):
            raise OrderUndone(order)

    def refund(self, order: str) -> None:
        """Give back what was taken for an order, now and ever after."""
        self._connection.execute(
            "insert into payments values (?, '', 0, 1) on conflict do update set cents = 0, refunded = 1", (order,)
        )

    def paid(self, order: str) -> int:
        """How many cents are taken for an order."""
        found = self._one("select cents from payments where order_name = ?", order)
        return 0 if found is None else found[0]

    def _one(self, statement: str, value: str) -> tuple[int] | None:
        row: tuple[int] | None = self._connection.execute(statement, (value,)).fetchone()
        return row


async def ledger_file() -> Path:
    """Where the payments are kept."""
    return Path(os.environ.get("PAYMENTS", "payments.db"))


def open_ledger(path: Annotated[Path, Depends(ledger_file)]) -> Generator[Ledger]:
    """A transaction of its own: kept if all went well, else undone. In either case before the caller is told."""
    # What it does runs in worker threads, one after the other.
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        yield Ledger(connection)
        connection.commit()
    finally:
        connection.close()
