"""A session: one client's connection, from its first byte to our last word.

The rules:

1. First the preamble and HELLO, within the handshake's timeout; then frames go to the exchange as they come.
2. However a session ends, its member is detached from the exchange at once and exactly once.
3. Who is sent away is told why: an ERROR frame is flushed before the connection is closed, for at most
   :data:`LAST_WORDS` seconds. An HTTP client is told in HTTP.
4. What one session does never reaches another: its errors end here.
"""

import logging

import anyio

from cqrsbus.broker.exchange import Exchange
from cqrsbus.broker.greeting import NOT_HTTP, Hello, read_hello, welcome
from cqrsbus.broker.member import SocketMember
from cqrsbus.errors import Code, ProtocolError
from cqrsbus.transports.framed import FramedStream
from cqrsbus.transports.port import ByteStream
from cqrsbus.wire.connection import PREAMBLE, Connection, Role
from cqrsbus.wire.frames import Frame, Kind
from cqrsbus.wire.header import encode_header

log = logging.getLogger(__name__)

LAST_WORDS = 1.0


class Session:
    """One client's connection.

    Args:
        stream: The accepted connection.
        exchange: Where its frames go.
        broker_id: What the WELCOME calls this broker.
    """

    def __init__(self, stream: ByteStream, exchange: Exchange, broker_id: str) -> None:
        self._exchange = exchange
        self._limits = exchange.limits
        self._broker_id = broker_id
        self._connection = Connection(Role.BROKER, max_frame=self._limits.max_frame, max_header=self._limits.max_header)
        self._framed = FramedStream(stream, self._connection, write_timeout=self._limits.write_timeout)
        self._reading = anyio.CancelScope()
        self._written = anyio.Event()
        self._member = SocketMember(self._framed.out, exchange, self._finish, self._cut_off)
        self._name = stream.peer
        self._greeted_back = False
        #: Set once HELLO was accepted, or the session is over.
        self.opened = anyio.Event()

    @property
    def ending(self) -> bool:
        """Whether its client was told why it is sent away."""
        return self._member.ending

    @property
    def is_opening(self) -> bool:
        """Whether its client has not said HELLO, and was not sent away either."""
        return not self._member.number and not self.ending

    def end(self, code: Code, reason: str) -> None:
        """Send this client away, telling it why."""
        if self.ending:
            return
        log.info("%s: %s: %s", self._name, code.name, reason)
        self._greet_back()
        self._framed.put(Frame.of(Kind.ERROR, detail=code, header=encode_header({"reason": reason})))
        self._finish()

    def check_heartbeat(self, now: float) -> None:
        """Say PING if we were silent for long; end the session if the client was."""
        if not self._member.number or self.ending:
            return
        # What the next look, a quarter of a heartbeat from now, would find too late is found now.
        if now - self._framed.last_received > self._limits.dead_after - self._limits.heartbeat / 4:
            self.end(Code.HEARTBEAT_LOST, f"nothing was received for {self._limits.dead_after:g} s")
        elif now - self._framed.last_sent >= self._limits.heartbeat:
            self._framed.put(Frame(Kind.PING))
            self._framed.flush_soon()

    async def serve(self) -> None:
        """Serve the client until either side ends the connection."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write)
                try:
                    with self._reading:
                        await self._converse()
                finally:
                    self._detach()
                    with anyio.move_on_after(LAST_WORDS, shield=True):
                        await self._last_words()
                    tasks.cancel_scope.cancel()
                    self.opened.set()
        finally:
            self._framed.close()

    async def _write(self) -> None:
        try:
            await self._framed.write()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._reading.cancel()
        except TimeoutError:
            log.warning("%s: cut off: it took nothing for %g s", self._name, self._limits.write_timeout)
            self._framed.close()
            self._reading.cancel()
        finally:
            self._written.set()

    async def _converse(self) -> None:
        try:
            with anyio.fail_after(self._limits.handshake_timeout):
                hello = await self._hello()
            if hello is not None:
                self._accept(hello)
                await self._framed.listen(self._member.take)
        except TimeoutError:
            self.end(Code.HANDSHAKE_TIMEOUT, f"no HELLO within {self._limits.handshake_timeout:g} s")
        except ProtocolError as error:
            self._refuse(error)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            log.debug("%s: the connection broke", self._name)

    async def _hello(self) -> Hello | None:
        frames = await self._framed.receive()
        if frames is None:
            return None
        if frames[0].kind == Kind.ERROR:
            log.info("%s: the client refused us", self._name)
            return None
        hello = read_hello(frames[0])
        # Whoever says more than HELLO has broken the protocol already.
        if self._framed.failure is not None:
            raise self._framed.failure
        return hello

    def _accept(self, hello: Hello) -> None:
        self._connection.welcome()
        number = self._member.number = self._exchange.attach(self._member, hello.service, hello.instance)
        self._name = f"{hello.service}/{hello.instance} ({self._framed.peer})"
        log.info("%s: connected as session %d", self._name, number)
        self._greet_back()
        self._member.put(welcome(self._limits, number, self._broker_id))
        self._member.flush()
        self.opened.set()

    def _refuse(self, error: ProtocolError) -> None:
        if self._connection.peer_speaks_http:
            log.info("%s: %s", self._name, error.reason)
            self._framed.put_bytes(NOT_HTTP)
            self._finish()
        else:
            self.end(error.code, error.reason)

    def _greet_back(self) -> None:
        if not self._greeted_back:
            self._greeted_back = True
            self._framed.put_bytes(PREAMBLE)

    def _cut_off(self) -> None:
        self.end(Code.SLOW_CONSUMER, f"{self._framed.buffered} bytes wait to be sent to this client")

    def _finish(self) -> None:
        self._member.ending = True
        self._framed.finish()
        self._reading.cancel()

    def _detach(self) -> None:
        if self._member.number:
            self._exchange.detach(self._member.number)
            log.info("%s: disconnected", self._name)

    async def _last_words(self) -> None:
        self._framed.finish()
        await self._written.wait()
        if self.ending:
            await self._framed.linger()
