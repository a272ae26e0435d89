import anyio

from cqrsbus import Broker, BrokerLimits, Bus, QueueFullError, RoutingLimits

LIMITS = RoutingLimits(max_credit_messages=1, max_queue_messages=1)

service = Bus("kitchen", "memory:kitchen")
client = Bus("waiter", "memory:kitchen")
may_cook = anyio.Event()


@service.command_handler("dish.cook")
async def cook(dish: str) -> None:
    await may_cook.wait()


async def order(dish: str) -> None:
    try:
        await client.send("dish.cook", dish, wait=True)
    except QueueFullError as error:
        print(error.code.name, error.topic)
        may_cook.set()


async def main() -> None:
    broker = Broker("memory:kitchen", limits=BrokerLimits(routing=LIMITS))
    async with broker, service, client, anyio.create_task_group() as tasks:
        for dish in ("soup", "rice", "cake"):
            tasks.start_soon(order, dish)


if __name__ == "__main__":
    anyio.run(main)
