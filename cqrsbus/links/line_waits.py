"""What waits for a line: whoever wants to use it."""

import anyio

from cqrsbus.errors import ConnectionLostError, DeadlineExceededError
from cqrsbus.links.channel import Channel
from cqrsbus.links.line import Line
from cqrsbus.links.port import LinkStatus


async def wait_connected(line: Line, deadline: float, topic: str) -> Channel:
    """Wait until a line is connected with every subscription in place.

    Args:
        line: The line.
        deadline: Until when, on anyio's clock; infinity for no limit.
        topic: What for, for the text of errors.

    Raises:
        ConnectionLostError: It is closed, and will not be connected again.
        DeadlineExceededError: It was not connected in time.
    """
    while (channel := line.channel) is None:
        if line.status is LinkStatus.CLOSED:
            raise ConnectionLostError("the bus is closed", topic=topic)
        if anyio.current_time() >= deadline:
            why = f": {line.last_error}" if line.last_error else ""
            raise DeadlineExceededError(f"not connected to {line.name}{why}", stage="connect", topic=topic)
        changed = line.changed
        with anyio.move_on_at(deadline):
            await changed.wait()
    return channel
