"""The receive buffer: bytes in, in any portions, whole frames out.

The rules:

1. A frame's length is checked as soon as its four bytes are there, before anything more is kept: neither a
   declared length nor a flood makes the buffer grow past one frame and one read.
2. How the bytes were split on the way makes no difference to what comes out.
3. A portion is copied once, when its frame is cut out; portions of a large frame are joined once.
"""

from cqrsbus.errors import Code, ProtocolError
from cqrsbus.wire.frames import HEAD, HEAD_SIZE, KNOWN_FLAGS, LENGTH_SIZE, MIN_LENGTH, Frame


class FrameReader:
    """Cuts a stream of bytes into frames.

    Args:
        max_frame: The most bytes a frame may have.
        max_header: The most bytes its header may have.
    """

    __slots__ = ("_buffer", "_missing", "_offset", "_portions", "max_frame", "max_header")

    def __init__(self, *, max_frame: int, max_header: int) -> None:
        self.max_frame = max_frame
        self.max_header = max_header
        self._buffer = b""
        self._offset = 0
        self._portions: list[bytes] = []
        self._missing = LENGTH_SIZE

    def feed(self, data: bytes) -> None:
        """Take what was received."""
        if not data:
            return
        self._portions.append(data)
        self._missing -= len(data)

    @property
    def at_boundary(self) -> bool:
        """Whether every byte so far belongs to a whole frame that was handed out."""
        return not self._portions and self._offset == len(self._buffer)

    def next_frame(self) -> Frame | None:
        """The next whole frame, or None until more is fed.

        Raises:
            ProtocolError: The bytes are no frame; the stream cannot be read any further.
        """
        if self._portions:
            if self._missing > 0:
                return None
            self._join()
        available = len(self._buffer) - self._offset
        if available < LENGTH_SIZE:
            self._missing = LENGTH_SIZE - available
            return None
        length = int.from_bytes(self._buffer[self._offset : self._offset + LENGTH_SIZE], "big")
        self._check_length(length)
        if available < LENGTH_SIZE + length:
            self._missing = LENGTH_SIZE + length - available
            return None
        return self._cut(length)

    def read_frames(self, into: list[Frame]) -> None:
        """Append the whole frames that are here, up to one that breaks the rules: :meth:`next_frame` says how it does.

        It is :meth:`next_frame` for many at once, with one comparison for each rule and no call for each frame.
        """
        if self._portions and self._missing <= 0:
            self._join()
        buffer, offset = self._buffer, self._offset
        size, longest, unpack, append = len(buffer), self.max_frame - LENGTH_SIZE, HEAD.unpack_from, into.append
        while size - offset >= HEAD_SIZE:
            length, kind, flags, stamp_size, topic_size, header_size, detail, channel, id, ttl = unpack(buffer, offset)
            end = offset + LENGTH_SIZE + length
            if (
                end > size
                or length > longest
                or stamp_size + topic_size + header_size > length - MIN_LENGTH
                or (flags and flags & ~KNOWN_FLAGS.get(kind, 0xFF))
                or header_size > self.max_header
            ):
                break
            start = offset + HEAD_SIZE
            stamp = buffer[start : start + stamp_size] if stamp_size else b""
            tail = buffer[start + stamp_size : end]
            append(Frame(kind, flags, detail, channel, id, ttl, stamp, tail, topic_size, header_size))
            offset = end
        self._offset = offset

    def _join(self) -> None:
        rest = self._buffer[self._offset :]
        self._buffer = b"".join((rest, *self._portions)) if rest or len(self._portions) > 1 else self._portions[0]
        self._offset = 0
        self._portions.clear()

    def _check_length(self, length: int) -> None:
        if length < MIN_LENGTH:
            raise ProtocolError(f"a frame's length is at least {MIN_LENGTH}, not {length}")
        if length > self.max_frame - LENGTH_SIZE:
            raise ProtocolError(
                f"a frame of {LENGTH_SIZE + length} bytes is over the limit of {self.max_frame}",
                code=Code.FRAME_TOO_LARGE,
            )

    def _cut(self, length: int) -> Frame:
        start = self._offset
        (_, kind, flags, stamp_size, topic_size, header_size, detail, channel, id, ttl) = HEAD.unpack_from(
            self._buffer, start
        )
        if flags & ~KNOWN_FLAGS.get(kind, 0xFF):
            raise ProtocolError(f"unknown flags {flags:#04x} on kind {kind:#04x}")
        if header_size > self.max_header:
            raise ProtocolError(f"a header of {header_size} bytes is over the limit of {self.max_header}")
        if stamp_size + topic_size + header_size > length - MIN_LENGTH:
            raise ProtocolError("the frame is shorter than its parts")
        end = start + LENGTH_SIZE + length
        tail_start = start + HEAD_SIZE + stamp_size
        self._offset = end
        stamp = self._buffer[start + HEAD_SIZE : tail_start] if stamp_size else b""
        tail = self._buffer[tail_start:end]
        return Frame(kind, flags, detail, channel, id, ttl, stamp, tail, topic_size, header_size)
