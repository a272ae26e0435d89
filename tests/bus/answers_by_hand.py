"""Several answers in a test's own hands."""

from collections import deque

from anyio.lowlevel import checkpoint

from cqrsbus.bus.codec import MSGPACK
from cqrsbus.errors import BusError
from cqrsbus.links.answer import Answer
from cqrsbus.links.port import Instance, Reply


class FakeReplies:
    """See :class:`cqrsbus.links.port.Replies`: gives what it was told to, then says that there is no more."""

    def __init__(self, *answers: object, asked: int = 0, end: BusError | None = None) -> None:
        self.asked = tuple(Instance("s", f"s-{number}") for number in range(asked))
        self.left = 0
        self._end = end
        self._waiting = deque(
            self._reply(answer, self.asked[number] if asked else Instance("s", ""))
            for number, answer in enumerate(answers)
        )

    async def next(self) -> Reply | None:
        await checkpoint()
        if self._waiting:
            return self._waiting.popleft()
        if self._end is not None:
            raise self._end
        return None

    def leave(self) -> None:
        self.left += 1

    @staticmethod
    def _reply(answer: object, instance: Instance) -> Reply:
        if isinstance(answer, BusError):
            return Reply(MSGPACK.content_type, b"", instance, answer)
        return Reply(MSGPACK.content_type, MSGPACK.encode(answer), instance)


def read_int(answer: Answer) -> int:
    assert answer.content_type == MSGPACK.content_type
    number = answer.body[0]
    assert MSGPACK.encode(number) == answer.body
    return number
