import anyio

from cqrsbus import Bus, Query, QuorumError


class Price(Query[int], topic="price.of"):
    item: str


def shop(price: int) -> Bus:
    bus = Bus("shop", "memory:market")

    @bus.query_handler()
    async def answer(query: Price) -> int:
        if query.item == "umbrella":
            raise LookupError("sold out")
        await anyio.sleep(60 if price > 5 else 0)
        return price

    return bus


async def main() -> None:
    async with shop(3), shop(4), shop(9), Bus("me", "memory:market") as me:
        async with me.gather(Price(item="tea"), quorum=2) as prices:
            print("the first two:", sorted([price async for price in prices]))
        print("asked:", len(prices.asked), "stopped:", len(prices.missing))

        async with me.gather(Price(item="tea"), timeout=0.5) as prices:
            print("all in time:", sorted([price async for price in prices]))

        try:
            async with me.gather(Price(item="umbrella"), quorum=1) as prices:
                print([price async for price in prices])
        except QuorumError:
            print("no quorum:", len(prices.failed), "instances failed")


if __name__ == "__main__":
    anyio.run(main)
