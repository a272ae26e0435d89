"""A channel over a byte stream: connect, greet, check that it is a broker who answers."""

from collections.abc import Callable
from contextlib import suppress

import anyio

from cqrsbus.errors import (
    AuthError,
    BusError,
    Code,
    ConnectError,
    ConnectionLostError,
    ProtocolError,
)
from cqrsbus.links.channel import Terms
from cqrsbus.topics import MAX_TOPIC_BYTES
from cqrsbus.transports import connect
from cqrsbus.transports.framed import FramedStream
from cqrsbus.transports.outbox import SEND_BUFFER
from cqrsbus.transports.port import ByteStream
from cqrsbus.version import PRODUCT
from cqrsbus.wire.batch import MAX_BATCH_HEADER
from cqrsbus.wire.connection import PREAMBLE, Connection, Role
from cqrsbus.wire.failures import error_in
from cqrsbus.wire.frames import HEAD_SIZE, Frame, Kind
from cqrsbus.wire.header import encode_header

HANDSHAKE_TIMEOUT = 5.0
WRITE_TIMEOUT = 10.0
#: A broker may send what another client was allowed, and its stamp on top; its word on size comes in the welcome.
MAX_RECEIVED_FRAME = 16 * 1024 * 1024 + 256
MAX_RECEIVED_HEADER = 65535


class NotABrokerError(ConnectError):
    """What answers there is not a broker, or not one for us: trying again would not help."""


class SocketChannel:
    """One connection to a broker behind a URL; made by :func:`open_channel`."""

    def __init__(self, framed: FramedStream, terms: Terms, early: list[Frame]) -> None:
        self._framed = framed
        self._early = early
        self.terms = terms
        most = terms.max_frame - HEAD_SIZE - MAX_TOPIC_BYTES - MAX_BATCH_HEADER
        self.outbox = out = framed.out
        out.max_batch = min(out.max_batch, most)
        #: See :class:`Channel`, where these are methods.
        self.has_room: Callable[[], bool] = out.has_room
        self.put: Callable[[Frame], None] = out.put_soon

    @property
    def last_received(self) -> float:
        """When something last came."""
        return self._framed.last_received

    @property
    def last_sent(self) -> float:
        """When something last went."""
        return self._framed.last_sent

    async def wait_room(self) -> None:
        """See :meth:`Channel.wait_room`."""
        await self._framed.wait_room(SEND_BUFFER)

    async def listen(self, consume: Callable[[list[Frame]], bool]) -> None:
        """See :meth:`Channel.listen`."""
        early, self._early = self._early, []
        if early and not consume(early):
            return
        try:
            await self._framed.listen(consume)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise ConnectionLostError(f"the connection to {self._framed.peer} broke") from error

    async def run(self) -> None:
        """See :meth:`Channel.run`."""
        # The reader may still find the broker's last words; then it comes to the end by itself.
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._framed.write()

    def close(self) -> None:
        """See :meth:`Channel.close`."""
        self._framed.close()


async def open_channel(url: str, service: str, instance: str) -> SocketChannel:
    """Connect to a broker and greet it.

    Args:
        url: Where it listens.
        service: Who we are.
        instance: Which of the service's instances.

    Raises:
        NotABrokerError: What answers does not speak our protocol.
        AuthError: The broker did not accept our credentials.
        ConnectError: Nobody accepts there, or says nothing in time, or the broker has no room for us.
    """
    stream = await connect(url)
    try:
        with anyio.fail_after(HANDSHAKE_TIMEOUT):
            return await _greet(stream, url, service, instance)
    except TimeoutError:
        stream.close()
        raise NotABrokerError(f"what listens at {url} did not answer within {HANDSHAKE_TIMEOUT:g} s") from None
    except BaseException:
        stream.close()
        raise


async def _greet(stream: ByteStream, url: str, service: str, instance: str) -> SocketChannel:
    connection = Connection(Role.CLIENT, max_frame=MAX_RECEIVED_FRAME, max_header=MAX_RECEIVED_HEADER)
    framed = FramedStream(stream, connection, write_timeout=WRITE_TIMEOUT)
    hello = encode_header({"service": service, "instance": instance, "product": PRODUCT})
    # A broker that is already closing may have said why: read that first.
    with suppress(anyio.BrokenResourceError):
        await stream.send(PREAMBLE + Frame.of(Kind.HELLO, header=hello).encode())
    try:
        frames = await framed.receive()
    except ProtocolError as error:
        if framed.ended:
            raise ConnectError(f"{url} closed the connection during the handshake") from error
        raise NotABrokerError(f"what listens at {url} is not a cqrsbus broker: {error.reason}") from error
    except anyio.BrokenResourceError as error:
        raise ConnectError(f"{url} closed the connection during the handshake") from error
    if frames is None:
        raise ConnectError(f"{url} closed the connection during the handshake")
    answer, *early = frames
    try:
        if answer.kind == Kind.ERROR:
            raise _refusal(answer, url)
        return SocketChannel(framed, Terms.of(answer), early)
    except ProtocolError as error:
        raise NotABrokerError(
            f"what listens at {url} greets in a way that is not understood: {error.reason}"
        ) from error


def _refusal(frame: Frame, url: str) -> BusError:
    error = error_in(frame)
    if isinstance(error, AuthError):
        return error
    if frame.detail in (Code.TOO_MANY_CONNECTIONS, Code.SHUTTING_DOWN, Code.HANDSHAKE_TIMEOUT):
        return ConnectError(f"{url} has no room for this client now: {error.reason}")
    return NotABrokerError(f"{url} refused this client: {error.reason}")
