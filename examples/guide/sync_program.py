from cqrsbus import Bus, Command, Query

bus = Bus("stock", "memory:")
stock = {"milk": 3}


class Take(Command, topic="stock.take"):
    item: str


class Left(Query[int], topic="stock.left"):
    item: str


@bus.command_handler()
def take(command: Take) -> None:
    stock[command.item] -= 1


@bus.query_handler()
def left(query: Left) -> int:
    return stock[query.item]


def main() -> None:
    with bus.sync() as b:
        b.send(Take(item="milk"), wait=True)
        print("left:", b.ask(Left(item="milk")))


if __name__ == "__main__":
    main()
