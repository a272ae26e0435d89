"""A shop in five processes, and five customers: one is content, the others are not, and nothing is lost by it.

    python -m examples.orders.demo

It works in a temporary directory and on a port that the system chooses, and ends by itself.
"""

import signal
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import anyio
from anyio import CancelScope

from cqrsbus import Bus, BusError, DeadlineExceededError
from examples.email.processes import Processes, ProcessFailedError
from examples.orders.messages import CardDeclined, FollowOrder, OnHand, OutOfStock, Paid, PlaceOrder
from examples.orders.stock import WAREHOUSES

ORDERS: Final = ("ada-1", "ben-1", "cleo-1", "dora-1", "emil-1")
#: Seconds for everything; it takes a few.
AT_MOST: Final = 60.0

say = partial(print, flush=True)


async def demonstrate() -> None:
    """Start the shop, tell the stories, and count."""
    with TemporaryDirectory(prefix="cqrsbus-orders-") as name:
        processes = Processes(Path(name))
        try:
            async with processes:
                url = await open_shop(processes, Path(name))
                async with Bus("customers", url, requires=[PlaceOrder, FollowOrder], check="wait") as bus:
                    await tell_stories(bus)
                    await count(bus)
        except (BusError, ProcessFailedError, TimeoutError):
            for log in processes.logs().values():
                print(log, file=sys.stderr)
            raise
    say("\nEvery process has ended, every file is gone.")


async def open_shop(processes: Processes, directory: Path) -> str:
    """Start a broker, two warehouses and the other services; return the broker's URL."""
    say("The shop opens:")
    listen = ("-m", "cqrsbus", "broker", "--listen", "tcp://127.0.0.1:0")
    pid, url = await processes.start("broker", *listen, ready="listening on ")
    say(f"  broker        pid {pid}")
    processes.environment |= {"CQRSBUS_URL": url, "PAYMENTS": str(directory / "payments.db")}
    for warehouse in WAREHOUSES:
        processes.environment["WAREHOUSE"] = warehouse
        await start(processes, "stock", warehouse)
    await start(processes, "payments")
    await start(processes, "orders")
    return url


async def start(processes: Processes, service: str, place: str = "") -> None:
    """Start one service, and say so."""
    name = f"{service} {place}".strip()
    pid, _ = await processes.start(name, "-m", f"examples.orders.{service}", ready=f"{service}: ready")
    say(f"  {name:<13} pid {pid}")


async def tell_stories(bus: Bus) -> None:
    """Let each customer order, one after the other."""
    ada, ben, cleo, dora, emil = ORDERS

    say("\nAda orders 2 tea and 1 lamp.")
    await place(bus, ada, tea=2, lamp=1)
    say("  She gets them.")

    say("\nBen orders 9 lamps.")
    try:
        await place(bus, ben, lamp=9)
    except OutOfStock as error:
        say(f"  No warehouse has so many: {error.left} of {error.item} left.")

    say("\nCleo orders 1 tea. Her card is an old one.")
    try:
        await place(bus, cleo, card="expired", tea=1)
    except CardDeclined as error:
        say(f"  Declined: {error.reason}.")
    await show_steps(bus, cleo)

    say("\nDora orders 3 tea. Her bank thinks about it, and she gives up.")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leave_when_reserved, bus, dora, tasks.cancel_scope)
        await place(bus, dora, card="slow", tea=3)
    await show_steps(bus, dora)

    say("\nEmil orders 1 lamp, to be his within a second. His bank is as slow.")
    try:
        await place(bus, emil, card="slow", timeout=1, lamp=1)
    except DeadlineExceededError as error:
        say(f"  The second is over. Where was it lost? In the {error.stage}.")
    await show_steps(bus, emil)


async def place(bus: Bus, order: str, card: str = "good", timeout: float = 10, **items: int) -> None:
    """Place an order, and wait until it is confirmed."""
    customer, _, _ = order.partition("-")
    await bus.send(PlaceOrder(order=order, customer=customer, card=card, items=items), wait=True, timeout=timeout)


async def leave_when_reserved(bus: Bus, order: str, scope: CancelScope) -> None:
    """Follow an order, and cancel a scope when everything is set aside for it."""
    async with bus.stream(FollowOrder(order=order)) as steps:
        async for step in steps:
            if step == "reserved":
                scope.cancel()


async def show_steps(bus: Bus, order: str) -> None:
    """Print how far an order went; waits for its end."""
    async with bus.stream(FollowOrder(order=order)) as steps:
        say("  Its steps:", ", ".join([step async for step in steps]))


async def count(bus: Bus) -> None:
    """Print what everybody has in the end."""
    say("\nIn the evening:")
    async with bus.gather(OnHand(items=["tea", "lamp"]), quorum=len(WAREHOUSES)) as shelves:
        for shelf in sorted([each async for each in shelves], key=lambda shelf: shelf.warehouse):
            left = ", ".join(f"{left} {item}" for item, left in shelf.left.items())
            say(f"  {shelf.warehouse} has {left}; it began with {WAREHOUSES[shelf.warehouse]}")
    for order in ORDERS:
        say(f"  {order:<7} paid {await bus.ask(Paid(order=order)) / 100:6.2f}")


async def run() -> int:
    """Run the demonstration, unless it is told to stop before; return the exit code."""
    status = 130
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with anyio.create_task_group() as tasks:

            async def stop() -> None:
                await anext(signals)
                tasks.cancel_scope.cancel()

            tasks.start_soon(stop)
            try:
                with anyio.fail_after(AT_MOST):
                    await demonstrate()
                status = 0
            except (BusError, ProcessFailedError, TimeoutError) as error:
                print(f"The demo failed: {str(error) or 'it took too long'}", file=sys.stderr)
                status = 1
            tasks.cancel_scope.cancel()
    return status


if __name__ == "__main__":
    sys.exit(anyio.run(run))
