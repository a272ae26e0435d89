"""What type checkers see of a handler's children: the function's own parameters. Checked, never run.

Every ignore stands for an intended error: one that is not needed is itself an error, for both checkers.
"""

from typing import assert_type

from cqrsbus import Context


async def child(item: str, number: int = 1) -> int:
    return number


async def lonely() -> None: ...


def sync_child(item: str) -> None: ...


def right(ctx: Context) -> None:
    ctx.start_soon(lonely)
    ctx.start_soon(lonely, name="lonely")
    ctx.start_soon(child, "milk", 2)
    Context.current().start_soon(child, "milk", 2, name="milk")
    assert_type(Context.current(), Context)


def wrong(ctx: Context) -> None:
    ctx.start_soon(child, 7, 2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ctx.start_soon(lonely, 7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ctx.start_soon(sync_child, "milk")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ctx.start_soon(lonely())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
