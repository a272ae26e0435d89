import anyio

from cqrsbus import Broker, Bus


async def main() -> None:
    async with Broker("tcp://127.0.0.1:0", "memory:local") as broker:
        far, near = Bus("far", broker.url), Bus("near", "memory:local")
        async with far, near:
            async with near.subscribe("greeting", str) as greetings:
                await far.publish("greeting", "hello")
                print(await anext(greetings))
            print("socket connections:", broker.connections)
        counters = broker.counters
        print("published:", counters.published, "delivered:", counters.delivered)


if __name__ == "__main__":
    anyio.run(main)
