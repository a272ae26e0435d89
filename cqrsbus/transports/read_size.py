"""How many bytes to ask for at once: a little more than come.

Whoever writes much at once is to be read at once: what is left over by one read costs another one, and all that is done
for each. Asking for much more than comes costs as well, since the memory is taken before it is known. So a read that is
filled doubles what the next one asks for, and two in a row that half of it would have been enough for halve it.
"""

from cqrsbus.transports.port import CHUNK_BYTES
from cqrsbus.wire.reader import LONGEST_READ


class ReadSize:
    """What the next read is to ask for, by what those before it brought."""

    __slots__ = ("_was_small", "size")

    def __init__(self) -> None:
        #: Bytes.
        self.size = CHUNK_BYTES
        self._was_small = False

    def received(self, size: int) -> None:
        """Note how many bytes a read brought that had asked for at least this :attr:`size`."""
        if size >= self.size:
            self.size = min(2 * self.size, LONGEST_READ)
            self._was_small = False
        elif self.size > CHUNK_BYTES and size <= self.size // 2:
            if self._was_small:
                self.size = max(self.size // 2, CHUNK_BYTES)
            self._was_small = not self._was_small
        else:
            self._was_small = False
