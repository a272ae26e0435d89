"""What the C library does with memory that is freed: a broker's own process keeps it for the next message."""

from typing import Final

#: glibc learns from no larger block (``DEFAULT_MMAP_THRESHOLD_MAX``, less what it adds itself).
_MOST: Final = 32 * 1024 * 1024 - 64 * 1024


def keep_freed(size: int) -> None:
    """Let blocks of up to so many bytes come from the heap, and twice as much stay there when it is freed.

    Large messages are made and freed all the time. As long as the C library has seen no larger block freed, it returns
    that memory to the system each time, which then has to hand out, and to clear, every page anew. glibc takes the
    largest block freed as the measure for both (mallopt(3), ``M_MMAP_THRESHOLD``); elsewhere this does nothing. The
    block is never touched, and so takes no memory.

    Args:
        size: Bytes; more than 32 MiB have no more effect.
    """
    bytearray(min(size, _MOST))
