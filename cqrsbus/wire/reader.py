"""The receive buffer: bytes in, in any portions, whole frames out.

The rules:

1. A frame's length is checked as soon as its four bytes are there, before anything more is kept: neither a
   declared length nor a flood makes the buffer grow past one frame and one read.
2. How the bytes were split on the way makes no difference to what comes out.
3. A byte is copied once, when its frame is cut out: a frame that came in portions is put together without its head, and
   a large one not at all by who only passes it on.
4. What is kept is about as large as what has arrived: many small portions are kept as one, and of a large one
   that is nearly used up only the rest.
"""

from typing import Final

from cqrsbus.errors import Code, ProtocolError
from cqrsbus.wire.frames import HEAD, HEAD_SIZE, KNOWN_FLAGS, LENGTH_SIZE, MIN_LENGTH, Flag, Frame

#: Portions below this are kept together: each by itself would take much more memory than it has bytes.
SMALL_PORTION: Final = 4096
#: From this size a portion is not kept for the sake of a few bytes at its end.
LARGE_PORTION: Final = 65536
#: The most to ask for at once: four bodies of 64 KiB and their heads, which so leave nothing that takes another read.
#: More saves few system calls, and what is then allocated and freed each time costs more.
LONGEST_READ: Final = 288 * 1024
#: From this size a frame that came in portions is not put together, but for who asks for all of it.
UNJOINED_FROM: Final = 256 * 1024
_FRAMES_PER_READ: Final = 4
_BATCH: Final = Flag.BATCH
_UNPACK: Final = HEAD.unpack_from
#: Where the head says how long the stamp is: behind length, kind and flags.
_STAMP_SIZE_AT: Final = 6


class FrameReader:
    """Cuts a stream of bytes into frames.

    Args:
        max_frame: The most bytes a frame may have.
        max_header: The most bytes its header may have.
    """

    __slots__ = ("_buffer", "_length", "_missing", "_offset", "_portions", "max_frame", "max_header")

    def __init__(self, *, max_frame: int, max_header: int) -> None:
        self.max_frame = max_frame
        self.max_header = max_header
        self._buffer = b""
        self._offset: int = 0
        self._portions: list[bytes | bytearray] = []
        self._missing: int = LENGTH_SIZE
        #: What the frame at the front declares, once it is known to be allowed; else 0.
        self._length: int = 0

    def feed(self, data: bytes) -> None:
        """Take what was received."""
        if not data:
            return
        portions = self._portions
        if not portions or len(data) >= SMALL_PORTION:
            portions.append(data)
        elif isinstance(last := portions[-1], bytearray):
            last += data
        else:
            portions.append(bytearray(data))
        self._missing -= len(data)

    @property
    def wanted(self) -> int:
        """How many bytes are worth asking for at once: only a large frame makes it many."""
        # Where a little more is all that is missing, it does not take another read.
        if LONGEST_READ < self._missing <= LONGEST_READ + SMALL_PORTION:
            return self._missing
        return min(self._missing + _FRAMES_PER_READ * self._length, LONGEST_READ)

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
            if self._is_split():
                return self._put_together()
            self._join()
        available = len(self._buffer) - self._offset
        if available < LENGTH_SIZE:
            self._keep_rest(available)
            self._missing, self._length = LENGTH_SIZE - available, 0
            return None
        length = int.from_bytes(self._buffer[self._offset : self._offset + LENGTH_SIZE], "big")
        self._check_length(length)
        if available < LENGTH_SIZE + length:
            self._keep_rest(available)
            self._missing, self._length = LENGTH_SIZE + length - available, length
            return None
        return self._cut(length)

    def read_frames(self, into: list[Frame]) -> None:
        """Append the whole frames that are here, up to one that breaks the rules: :meth:`next_frame` says how it does.

        It is :meth:`next_frame` for many at once, with one comparison for each rule and no call for each frame.
        """
        if self._portions:
            if self._missing > 0:
                return
            if self._is_split():
                try:
                    into.append(self._put_together())
                except ProtocolError:
                    return
            else:
                self._join()
        buffer, offset = self._buffer, self._offset
        size, longest = len(buffer), self.max_frame - LENGTH_SIZE
        while size - offset >= HEAD_SIZE:
            length, kind, flags, stamp_size, topic_size, header_size, detail, channel, id, ttl = _UNPACK(buffer, offset)
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
            into.append(Frame(kind, flags, detail, channel, id, ttl, stamp, tail, topic_size, header_size))
            offset = end
        self._offset = offset

    def _is_split(self) -> bool:
        """Whether the frame at the front begins in the buffer, with all of its head, and ends in the last portion."""
        start = self._offset
        available = len(self._buffer) - start
        return (
            available >= HEAD_SIZE
            and available >= HEAD_SIZE + self._buffer[start + _STAMP_SIZE_AT]
            and -self._missing < len(self._portions[-1])
        )

    def _put_together(self) -> Frame:
        portions, last, view = self._portions, self._portions[-1], memoryview(self._buffer)
        frame, start = self._begin(self._length)
        end = len(last) + self._missing
        ending = memoryview(last)[:end]
        # Whoever keeps it is not to keep much more than that.
        first, others = view[start:], (*portions[:-1], ending if 2 * end >= len(last) else bytes(ending))
        if (
            self._length >= UNJOINED_FROM
            and not frame.flags & _BATCH
            and len(first) >= frame.topic_size + frame.header_size
        ):
            frame.come_in(bytes(first), others)
        else:
            frame.tail = b"".join((first, *others))
        self._buffer, self._offset = (last, end) if isinstance(last, bytes) else (bytes(last[end:]), 0)
        portions.clear()
        return frame

    def _join(self) -> None:
        portions, first = self._portions, self._portions[0]
        if self._offset == len(self._buffer) and len(portions) == 1 and isinstance(first, bytes):
            # Nothing to join it with: not to be copied.
            self._buffer = first
        else:
            self._buffer = b"".join((self._buffer[self._offset :], *portions))
        self._offset = 0
        portions.clear()

    def _keep_rest(self, size: int) -> None:
        if len(self._buffer) > max(LARGE_PORTION, 2 * size) or not size:
            self._buffer = self._buffer[self._offset :]
            self._offset = 0

    def _check_length(self, length: int) -> None:
        if length < MIN_LENGTH:
            raise ProtocolError(f"a frame's length is at least {MIN_LENGTH}, not {length}")
        if length > self.max_frame - LENGTH_SIZE:
            raise ProtocolError(
                f"a frame of {LENGTH_SIZE + length} bytes is over the limit of {self.max_frame}",
                code=Code.FRAME_TOO_LARGE,
            )

    def _begin(self, length: int) -> tuple[Frame, int]:
        """Check the frame at the front; returns it, but for its tail, and where that begins in the buffer."""
        start = self._offset
        (_, kind, flags, stamp_size, topic_size, header_size, detail, channel, id, ttl) = _UNPACK(self._buffer, start)
        if flags & ~KNOWN_FLAGS.get(kind, 0xFF):
            raise ProtocolError(f"unknown flags {flags:#04x} on kind {kind:#04x}")
        if header_size > self.max_header:
            raise ProtocolError(f"a header of {header_size} bytes is over the limit of {self.max_header}")
        if stamp_size + topic_size + header_size > length - MIN_LENGTH:
            raise ProtocolError("the frame is shorter than its parts")
        tail_start = start + HEAD_SIZE + stamp_size
        stamp = self._buffer[start + HEAD_SIZE : tail_start] if stamp_size else b""
        return Frame(kind, flags, detail, channel, id, ttl, stamp, b"", topic_size, header_size), tail_start

    def _cut(self, length: int) -> Frame:
        frame, tail_start = self._begin(length)
        end = self._offset + LENGTH_SIZE + length
        frame.tail = self._buffer[tail_start:end]
        self._offset = end
        return frame
