"""The state of one connection, as tables.

The rules:

1. Both sides first send the preamble: seven letters, the protocol's major version, and a line break. Four bytes
   tell a stranger; eight tell another version. The line break makes a server that reads lines, as one of HTTP
   does, answer at once to what is no request, and shows whether line breaks are changed on the way.
2. The client says HELLO, the broker WELCOME; nothing else may come before. Until then a frame may have at
   most :data:`MAX_OPENING_FRAME` bytes.
3. Each side says only what its role may (RECEIVES below). Either may end the connection with ERROR.
4. After the first error nothing more is read.

Like h11 and websockets' protocol: feed it with :meth:`Connection.receive_data`, take frames with
:meth:`Connection.next_frame` until there is none, write what it returns elsewhere.
"""

from enum import Enum, auto
from typing import Final

from cqrsbus.errors import Code, ProtocolError
from cqrsbus.wire.frames import Frame, Kind
from cqrsbus.wire.reader import FrameReader

MAGIC: Final = b"CQRSBUS"
VERSION: Final = 1
PREAMBLE: Final = MAGIC + bytes([VERSION]) + b"\r\n"
#: How many bytes are looked at together: fewer could give another answer when bytes arrive one by one.
TELLING_SIZES: Final = (4, len(MAGIC) + 1, len(PREAMBLE))
MAX_OPENING_FRAME: Final = 4096
#: How a client of HTTP greets us, and how its server answers; some leave out the status line for what is no request.
_HTTP_WORDS: Final = tuple(b"GET |POST|HEAD|PUT |OPTI|DELE|PATC|CONN|TRAC|HTTP|PRI |<!DO".split(b"|"))
_TLS_HANDSHAKE: Final = b"\x16\x03"
#: A TLS alert record: what a TLS server answers to us.
_TLS_ALERT: Final = b"\x15\x03"


class Role(Enum):
    """Which side of the connection we are."""

    CLIENT = auto()
    BROKER = auto()


class State(Enum):
    """How far the connection is."""

    OPENING = auto()
    #: The broker has a HELLO and has not answered yet.
    GREETED = auto()
    OPEN = auto()
    CLOSED = auto()


_EITHER: Final = {Kind.PING, Kind.PONG, Kind.REPLY, Kind.CANCEL, Kind.CREDIT, Kind.DRAIN}
_FROM_CLIENT: Final = _EITHER | {
    Kind.SUBSCRIBE,
    Kind.UNSUBSCRIBE,
    Kind.DESCRIBE,
    Kind.SEND,
    Kind.ASK,
    Kind.PUBLISH,
    Kind.ACK,
    Kind.NACK,
}
_FROM_BROKER: Final = _EITHER | {Kind.DELIVER, Kind.CONFIRM, Kind.REJECT}

#: (role, state) -> which kinds may be received, and the state each leads to.
RECEIVES: Final[dict[tuple[Role, State], dict[int, State]]] = {
    (Role.BROKER, State.OPENING): {Kind.HELLO: State.GREETED, Kind.ERROR: State.CLOSED},
    (Role.BROKER, State.GREETED): {Kind.ERROR: State.CLOSED},
    (Role.BROKER, State.OPEN): {**dict.fromkeys(_FROM_CLIENT, State.OPEN), Kind.ERROR: State.CLOSED},
    (Role.BROKER, State.CLOSED): {},
    (Role.CLIENT, State.OPENING): {Kind.WELCOME: State.OPEN, Kind.ERROR: State.CLOSED},
    (Role.CLIENT, State.OPEN): {**dict.fromkeys(_FROM_BROKER, State.OPEN), Kind.ERROR: State.CLOSED},
    (Role.CLIENT, State.CLOSED): {},
}


class Connection:
    """One side of a connection, without I/O.

    Args:
        role: Which side we are.
        max_frame: The most bytes a received frame may have, once open.
        max_header: The most bytes a received frame's header may have.
    """

    def __init__(self, role: Role, *, max_frame: int, max_header: int) -> None:
        self.role = role
        self.state = State.OPENING
        self._max_frame = max_frame
        self._reader = FrameReader(max_frame=min(MAX_OPENING_FRAME, max_frame), max_header=max_header)
        self._preamble: bytes | None = b""
        self._allowed = RECEIVES[role, State.OPENING]
        #: The peer's first bytes were those of HTTP: it will understand an answer in HTTP only.
        self.peer_speaks_http = False

    def receive_data(self, data: bytes) -> None:
        """Take what was received; then call :meth:`next_frame` until it returns None."""
        if self.state is State.CLOSED:
            return
        if self._preamble is None:
            self._reader.feed(data)
        else:
            missing = len(PREAMBLE) - len(self._preamble)
            self._preamble += data[:missing]
            if len(data) > missing:
                self._reader.feed(data[missing:])

    @property
    def wanted(self) -> int:
        """How many bytes are worth receiving at once: see :attr:`FrameReader.wanted`."""
        return self._reader.wanted

    def next_frame(self) -> Frame | None:
        """The next frame, or None until more is received.

        Raises:
            ProtocolError: The peer broke the protocol. Say it to the peer in an ERROR frame and close.
        """
        if self.state is State.CLOSED:
            return None
        try:
            if self._preamble is not None and not self._check_preamble(self._preamble):
                return None
            frame = self._reader.next_frame()
            if frame is not None:
                self._step(frame)
        except ProtocolError:
            self._enter(State.CLOSED)
            raise
        return frame

    def read_frames(self, into: list[Frame]) -> None:
        """Append every frame that has been received; the same as :meth:`next_frame` until there is none, but faster.

        Raises:
            ProtocolError: The peer broke the protocol, right behind what was appended.
        """
        while True:
            if self.state is State.OPEN and not self._read_open(into):
                return
            frame = self.next_frame()
            if frame is None:
                return
            into.append(frame)

    def _read_open(self, into: list[Frame]) -> bool:
        """Append frames that do not end the connection; returns whether it is still open."""
        begun = len(into)
        self._reader.read_frames(into)
        allowed, stamps = self._allowed, self.role is Role.CLIENT
        for number in range(begun, len(into)):
            frame = into[number]
            if allowed.get(frame.kind) is not State.OPEN or (frame.stamp and not stamps):
                rest = into[number:]
                del into[number:]
                self._last(rest[0])
                into.append(rest[0])
                return False
        return True

    def _last(self, frame: Frame) -> None:
        """Take a frame that ends the connection, or breaks the protocol."""
        try:
            self._step(frame)
        except ProtocolError:
            self._enter(State.CLOSED)
            raise

    def receive_eof(self) -> None:
        """Take the end of the stream.

        Raises:
            ProtocolError: BAD_FRAME, the stream ended in the middle of a frame.
        """
        clean = self._reader.at_boundary and self._preamble in (None, b"")
        closed, self.state = self.state, State.CLOSED
        if not clean and closed is not State.CLOSED:
            raise ProtocolError("the connection ended in the middle of a frame")

    def welcome(self) -> None:
        """Open the broker's side: the HELLO was accepted."""
        if self.state is not State.GREETED:
            raise RuntimeError(f"cannot welcome in state {self.state.name}")
        self._enter(State.OPEN)

    def close(self) -> None:
        """Read nothing more: we said, or heard, the last word."""
        self._enter(State.CLOSED)

    def _step(self, frame: Frame) -> None:
        state = self._allowed.get(frame.kind)
        if state is None:
            raise ProtocolError(
                f"{_name(frame.kind)} is not allowed from a {self._peer} while {self.state.name.lower()}",
                code=Code.UNEXPECTED_FRAME,
            )
        if frame.stamp and self.role is Role.BROKER:
            raise ProtocolError("only a broker stamps frames")
        if state is not self.state:
            self._enter(state)

    def _enter(self, state: State) -> None:
        self.state = state
        self._allowed = RECEIVES[self.role, state]
        if state is State.OPEN:
            self._reader.max_frame = self._max_frame

    @property
    def _peer(self) -> str:
        return "client" if self.role is Role.BROKER else "broker"

    def _check_preamble(self, received: bytes) -> bool:
        """Whether the preamble is complete; a stranger is noticed before it is."""
        if any(len(received) >= size and received[:size] != PREAMBLE[:size] for size in TELLING_SIZES):
            raise ProtocolError(self._explain(received), code=Code.UNSUPPORTED)
        if len(received) < len(PREAMBLE):
            return False
        self._preamble = None
        return True

    def _explain(self, received: bytes) -> str:
        if received.startswith(PREAMBLE[: len(MAGIC) + 1]):
            return "line breaks are changed on the way"
        if received[: len(MAGIC)] == MAGIC:
            return f"the {self._peer} speaks protocol version {received[len(MAGIC)]}, this side version {VERSION}"
        if received.startswith(_HTTP_WORDS):
            self.peer_speaks_http = True
            return "the peer speaks HTTP, not cqrsbus"
        if received.startswith((_TLS_HANDSHAKE, _TLS_ALERT)):
            return "the peer speaks TLS, this side does not"
        return f"the peer is not a cqrsbus {self._peer}"


def _name(kind: int) -> str:
    try:
        return Kind(kind).name
    except ValueError:
        return f"unknown kind {kind:#04x}"
