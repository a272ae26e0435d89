"""What must be undone is undone, over the bus, though the caller has left or the time is over."""

import anyio
import pytest

from cqrsbus import Bus, Context, DeadlineExceededError

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("leaves", ["by itself", "for lack of time"])
async def test_calls_in_a_shielded_block_come_to_their_end(url: str, leaves: str) -> None:
    shop, stock = Bus("shop", url), Bus("stock", url)
    bought, undone = anyio.Event(), anyio.Event()
    left: list[float | None] = []

    @shop.query_handler("buy")
    async def buy(item: str, ctx: Context) -> None:
        bought.set()
        try:
            await anyio.sleep_forever()
        finally:
            with ctx.shielded(10):
                await shop.send("release", item, wait=True)
                undone.set()

    @stock.command_handler("release")
    async def release(item: str, ctx: Context) -> None:
        left.append(ctx.remaining())

    with anyio.fail_after(20):
        async with stock, shop, Bus("web", url) as web:
            if leaves == "for lack of time":
                with pytest.raises(DeadlineExceededError):
                    await web.ask("buy", "tea", timeout=0.3)
            else:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(web.ask, "buy", "tea")
                    await bought.wait()
                    tasks.cancel_scope.cancel()
            await undone.wait()
    assert left == [pytest.approx(3, abs=2)]
