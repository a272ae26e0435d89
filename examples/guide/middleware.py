import time
from dataclasses import replace
from typing import Any

import anyio

from cqrsbus import (
    Bus,
    Call,
    Handling,
    NextCall,
    NextHandling,
    NoHandlerError,
    RemoteError,
)

bus = Bus("shop", "memory:")


@bus.call_middleware
async def sign(call: Call, call_next: NextCall) -> Any:
    call.headers["tenant"] = "acme"
    return await call_next(call)


@bus.call_middleware
async def fall_back(call: Call, call_next: NextCall) -> Any:
    try:
        return await call_next(call)
    except NoHandlerError:
        return await call_next(replace(call, topic="price.list"))


@bus.handling_middleware
async def measure(handling: Handling, call_next: NextHandling) -> Any:
    begin = time.perf_counter()
    try:
        return await call_next(handling)
    finally:
        took = time.perf_counter() - begin
        print(handling.context.topic, "was fast" if took < 1 else "was slow")


@bus.handling_middleware
async def check_tenant(handling: Handling, call_next: NextHandling) -> Any:
    tenant = handling.context.headers.get("tenant")
    if tenant != "acme" or handling.message == "gold":
        raise PermissionError("not for you")
    return await call_next(handling)


@bus.query_handler("price.list")
async def list_price(item: str) -> int:
    return len(item)


async def main() -> None:
    async with bus:
        print(await bus.ask("price.today", "milk", returns=int))
        try:
            await bus.ask("price.list", "gold", returns=int)
        except RemoteError as error:
            print(error.type)


if __name__ == "__main__":
    anyio.run(main)
