"""A delivery in a test's own hands, which remembers how it was settled."""

from collections.abc import Callable, Mapping
from typing import Any

from anyio.lowlevel import checkpoint

from cqrsbus.bus.codec import MSGPACK
from cqrsbus.errors import Code, ProtocolError
from cqrsbus.wire.envelope import Envelope

ENVELOPE = Envelope("m-1")


class FakeDelivery:
    """See :class:`cqrsbus.links.port.Delivery`; as there, only the first settlement counts."""

    def __init__(
        self,
        message: object = None,
        *,
        envelope: Envelope | None = None,
        body: bytes | None = None,
        topic: str = "a.topic",
        deadline: float | None = None,
        wants_answer: bool = True,
        wants_stream: bool = False,
    ) -> None:
        self.topic = topic
        self.body = MSGPACK.encode(message) if body is None else body
        self.sender = "sender"
        self.attempt = 1
        self.deadline = deadline
        self.cancelled = False
        self.wants_answer = wants_answer
        self.wants_stream = wants_stream
        self.items: list[tuple[str, bytes]] = []
        self.on_cancel: Callable[[], None] | None = None
        self.settlement: tuple[Any, ...] | None = None
        self._envelope = envelope

    @property
    def envelope(self) -> Envelope:
        if self._envelope is None:
            raise ProtocolError("the header is not a map")
        return self._envelope

    @property
    def content_type(self) -> str:
        return self.envelope.content_type

    def leave(self) -> None:
        """Its caller goes away."""
        self.cancelled = True
        if self.on_cancel is not None:
            self.on_cancel()

    def done(self) -> None:
        self._settle("done")

    async def reply_more(self, content_type: str, body: bytes) -> None:
        await checkpoint()
        self.items.append((content_type, body))

    def reply(self, content_type: str, body: bytes) -> None:
        self._settle("reply", content_type, body)

    def fail(self, code: Code, fields: Mapping[str, Any], body: bytes = b"") -> None:
        self._settle("fail", code, dict(fields), *([body] if body else []))

    def hand_back(self) -> None:
        self._settle("hand back")

    def _settle(self, *settlement: Any) -> None:
        if self.settlement is None:
            self.settlement = settlement
            self.on_cancel = None


def delivery(message: object = None, *, envelope: Envelope = ENVELOPE, **fields: Any) -> FakeDelivery:
    """A delivery with an intelligible envelope."""
    return FakeDelivery(message, envelope=envelope, **fields)
