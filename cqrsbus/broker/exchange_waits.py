"""What waits for an exchange: the task that lets its time pass, and who wants it to be idle."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cqrsbus.broker.exchange import Exchange


async def let_time_pass(exchange: "Exchange") -> None:
    """Answer requests whose deadline is over and give up stalled consumers, as long as it runs."""
    while True:
        await exchange.alarm.sleep_until(exchange.router.next_deadline)
        exchange.expire()


async def wait_until_idle(exchange: "Exchange") -> None:
    """Wait until nobody waits for an answer."""
    while exchange.router.open_requests:
        await exchange.next_move().wait()
