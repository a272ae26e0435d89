import anyio

from cqrsbus import Bus, Command, Event

URL = "memory:shop"


class Pay(Command, topic="order.pay"):
    order: int


class Paid(Event, topic="order.paid"):
    order: int


def make(name: str, log: list[str]) -> Bus:
    bus = Bus("payments", URL)

    @bus.command_handler()
    async def pay(command: Pay) -> None:
        log.append(f"{name} takes order {command.order}")
        await bus.publish(Paid(order=command.order))

    @bus.event_handler(group="receipts")
    async def receipt(event: Paid) -> None:
        log.append(f"one receipt for order {event.order}")

    @bus.event_handler()
    async def count(event: Paid) -> None:
        log.append(f"{name} counts order {event.order}")

    return bus


async def main() -> None:
    log: list[str] = []
    first, second = make("first", log), make("second", log)
    async with first, second, Bus("client", URL) as client:
        for order in (1, 2):
            await client.send(Pay(order=order), wait=True)
    print("\n".join(sorted(log)))


if __name__ == "__main__":
    anyio.run(main)
