import anyio

from cqrsbus import Broker, BrokerLimits, Bus, PayloadTooLargeError, RoutingLimits

LIMITS = BrokerLimits(
    max_connections=20,
    max_frame=64 * 1024,
    routing=RoutingLimits(max_queue_messages=1000, max_queue_bytes=1024 * 1024),
)


async def main() -> None:
    bus = Bus("client", "memory:small")
    async with Broker("memory:small", limits=LIMITS), bus:
        try:
            await bus.publish("picture.taken", b"x" * 100_000)
        except PayloadTooLargeError as error:
            print(error.code.name, error.topic)


if __name__ == "__main__":
    anyio.run(main)
