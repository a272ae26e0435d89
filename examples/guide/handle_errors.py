import anyio

from cqrsbus import (
    Bus,
    BusError,
    InvalidMessageError,
    NoHandlerError,
    Query,
    RemoteError,
)

bus = Bus("bank", "memory:")


class Balance(Query[int], topic="account.balance"):
    account: int


@bus.query_handler()
async def balance(query: Balance) -> int:
    if query.account != 1:
        raise LookupError(f"no account {query.account}")
    return 100


async def show(topic: str, message: object) -> None:
    try:
        print(await bus.ask(topic, message, returns=int))
    except RemoteError as error:
        print("the handler raised", error.type, "saying", error.message)
    except InvalidMessageError as error:
        print("wrong message:", [entry["loc"] for entry in error.entries])
    except NoHandlerError as error:
        print("nobody answers", error.topic)
    except BusError as error:
        print(error.code.name, error)


async def main() -> None:
    async with bus:
        await show("account.balance", {"account": 1})
        await show("account.balance", {"account": 2})
        await show("account.balance", {"account": "mine"})
        await show("account.history", {"account": 1})


if __name__ == "__main__":
    anyio.run(main)
