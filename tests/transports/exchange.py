"""What the tests of the port exchange over a pair of streams."""

import random
from typing import TypeAlias

from cqrsbus.transports import ByteStream

Pair: TypeAlias = tuple[ByteStream, ByteStream]

#: More than any transport holds between two ends, in bytes.
MORE_THAN_FITS = 32 * 1024 * 1024


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


async def receive_exactly(stream: ByteStream, size: int, max_bytes: int = 65536) -> bytes:
    got = bytearray()
    while len(got) < size:
        chunk = await stream.receive(min(max_bytes, size - len(got)))
        assert chunk, f"the stream ended after {len(got)} of {size} bytes"
        got += chunk
    return bytes(got)


async def receive_to_the_end(stream: ByteStream) -> bytes:
    got = bytearray()
    while chunk := await stream.receive():
        got += chunk
    return bytes(got)


async def send_without_end(stream: ByteStream) -> None:
    while True:
        await stream.send(b"x" * 1000)
