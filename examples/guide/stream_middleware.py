from collections.abc import AsyncIterator
from typing import Any

import anyio

from cqrsbus import Bus, Handling, NextHandling

bus = Bus("words", "memory:")


@bus.handling_middleware
async def number(handling: Handling, call_next: NextHandling) -> Any:
    answers = await call_next(handling)
    return numbered(answers) if handling.handler.is_stream else answers


async def numbered(answers: AsyncIterator[str]) -> AsyncIterator[str]:
    count = 0
    async for answer in answers:
        count += 1
        yield f"{count}. {answer}"


@bus.query_handler("words.of")
async def words_of(text: str) -> AsyncIterator[str]:
    for word in text.split():
        yield word


async def main() -> None:
    async with bus, bus.stream("words.of", "a few words", returns=str) as words:
        async for word in words:
            print(word)


if __name__ == "__main__":
    anyio.run(main)
