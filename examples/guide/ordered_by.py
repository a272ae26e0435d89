import anyio
from pydantic import BaseModel

from cqrsbus import Bus


class Payment(BaseModel):
    account: str
    amount: int


bus = Bus("bank", "memory:")
slow_is_stuck, fast_is_done = anyio.Event(), anyio.Event()


@bus.command_handler("payment.book", concurrency=4, ordered_by="account")
async def book(payment: Payment) -> None:
    if payment.account == "slow":
        slow_is_stuck.set()
        await fast_is_done.wait()
    print(f"{payment.account} {payment.amount}")
    if payment == Payment(account="fast", amount=3):
        fast_is_done.set()


async def main() -> None:
    async with bus:
        for amount in (1, 2, 3):
            await bus.send("payment.book", Payment(account="slow", amount=amount))
        await slow_is_stuck.wait()
        for amount in (1, 2, 3):
            await bus.send("payment.book", Payment(account="fast", amount=amount))
        last = Payment(account="slow", amount=4)
        await bus.send("payment.book", last, wait=True)


if __name__ == "__main__":
    anyio.run(main)
