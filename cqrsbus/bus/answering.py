"""How a query handler's answer is given to its caller: at once, or one by one.

A caller who wants a stream gets one from any handler; a plain one's has a single answer. A caller who wants a single
answer cannot take a stream. The end of a stream is told when the handler, and all that it started, has ended.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, cast

from cqrsbus.bus.codec import Codec
from cqrsbus.bus.handler import Handler
from cqrsbus.bus.one_answer import answer_nowait
from cqrsbus.errors import Code, PayloadTooLargeError
from cqrsbus.links.port import Delivery


async def give_answer(delivery: Delivery, codec: Codec, answer: object) -> None:
    """Give a handler's one answer to its caller, who may make us wait if it wants a stream.

    Raises:
        InvalidMessageError: The answer cannot be carried.
    """
    if not answer_nowait(delivery, codec, answer):
        await give_one(delivery, codec, answer)


async def give_each(delivery: Delivery, codec: Codec, answers: object) -> None:
    """Give each answer of a stream to its caller, who may make us wait.

    Args:
        delivery: What was handled.
        codec: What answers are written with.
        answers: An async iterator, which is closed in any case.

    Raises:
        Exception: What the iterator raised.
        InvalidMessageError: An answer cannot be carried.
    """
    async with AsyncExitStack() as stack:
        close: Any = getattr(answers, "aclose", None)
        if close is not None:
            stack.push_async_callback(close)
        async for answer in cast("AsyncIterator[object]", answers):
            if not await give_one(delivery, codec, answer):
                return


def refuse_single(delivery: Delivery, handler: Handler) -> None:
    """Tell a caller who asked for one answer that there are several."""
    reason = f"{handler.name} answers with a stream: use bus.stream() in place of bus.ask() or bus.gather()"
    delivery.fail(Code.TOPOLOGY, {"reason": reason})


async def give_one(delivery: Delivery, codec: Codec, answer: object) -> bool:
    """Give one answer of a stream to its caller, who may make us wait; returns whether another one may follow.

    Raises:
        InvalidMessageError: The answer cannot be carried.
    """
    try:
        await delivery.reply_more(codec.content_type, codec.encode(answer))
    except PayloadTooLargeError as error:
        delivery.fail(error.code, {"reason": error.reason})
        return False
    return True
